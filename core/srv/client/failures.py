"""Failures as exceptions: what a server refused, by its code or status, and what became of the connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from srv import errors
from srv.errors import SrvError, quoted
from srv.rest.statuses import STATUSES

#: The class of each stable name: the one that others of that name derive from.
CLASSES: Mapping[str, type[SrvError]] = {
    kind.code: kind
    for kind in reversed(list(vars(errors).values()))
    if isinstance(kind, type) and issubclass(kind, SrvError) and "code" in vars(kind)
}
#: The class of a status, for servers that send no stable name. 422 is FastAPI's for what fails validation.
_CLASSES_BY_STATUS = {status: CLASSES[code] for code, status in reversed(list(STATUSES.items()))} | {
    422: errors.InvalidInput
}


class NoServerUrl(SrvError):
    """The address is no URL of a server."""

    def __init__(self, url: str) -> None:
        super().__init__(
            f"{quoted(url)} is no URL of a server; write http://host:port, https://host:port, unix:/path or grpc://host:port."
        )


class NoConnection(errors.Unavailable):
    """No connection to the server came about, so it has seen nothing of the request."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"No server answers at {url}: {why}.")


class ConnectionLost(SrvError):
    """The connection ended before the answer was there. Whether the model has run is not known."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"The connection to {url} was lost before the answer was there: {why}.")


class TimedOut(errors.DeadlinePassed):
    """The client's own time was over before the answer was there. Whether the model has run is not known."""

    def __init__(self, url: str, seconds: float) -> None:
        SrvError.__init__(self, f"{url} did not answer within {seconds:g} seconds.")


class NoSuchRoute(errors.Unimplemented):
    """The server speaks the protocol, and has nothing at that path: an extension that it lacks."""

    def __init__(self, url: str) -> None:
        super().__init__(f"{url} has no such route; its server does not speak this extension of the protocol.")


class UnknownStatus(SrvError):
    """A server failed over gRPC without saying how: an exception that it has no status for."""


class NotTheProtocol(SrvError):
    """What answered does not speak the Open Inference Protocol."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"What answers at {url} does not speak the Open Inference Protocol: {why}.")


def failure_of(status: int, headers: Mapping[str, str], body: bytes | bytearray, url: str) -> SrvError:
    """Return the error that an HTTP response stands for, with the server's sentence, code and request id."""
    sentence, code = _said(body)
    if status in (404, 405) and code is None and sentence in ("Not Found", "Method Not Allowed"):
        return NoSuchRoute(url)  # FastAPI's words, where there is no route: KServe and MLServer
    kind = CLASSES.get(code or "", _CLASSES_BY_STATUS.get(status, SrvError))
    return told(kind, sentence or _unsaid(status, headers, body, url), code, headers)


def told(kind: type[SrvError], sentence: str, code: str | None, headers: Mapping[str, str]) -> SrvError:
    """Return an error of that class that says what the server said."""
    error = kind.__new__(kind)
    SrvError.__init__(error, sentence)
    if code is not None:
        vars(error)["code"] = code  # the server's own, which may be one that no class has
    error.request_id = headers.get("x-request-id")
    error.retry_after = _seconds(headers.get("retry-after"))
    return error


def _said(body: bytes | bytearray) -> tuple[str | None, str | None]:
    """Return sentence and code of an error's body. KServe, Triton and MLServer say `error` too; FastAPI says `detail`."""
    try:
        document: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None, None
    if not isinstance(document, dict):
        return None, None
    sentence, code = document.get("error", document.get("detail")), document.get("code")
    if isinstance(sentence, list):
        sentence = "; ".join(map(_detail, sentence))
    return (sentence if isinstance(sentence, str) else None), (code if isinstance(code, str) else None)


def _detail(entry: Any) -> str:
    """Return what FastAPI says of one field: `inputs.0.datatype: Field required`."""
    if not isinstance(entry, dict) or not isinstance(entry.get("loc"), list):
        return str(entry)
    place = ".".join(str(part) for part in entry["loc"] if part != "body")
    return f"{place or 'body'}: {entry.get('msg')}"


def _unsaid(status: int, headers: Mapping[str, str], body: bytes | bytearray, url: str) -> str:
    if "location" in headers and 300 <= status < 400:
        return f"{url} redirects to {quoted(headers['location'])}; make a Client with that server's URL."
    said = body[:200].decode(errors="replace").strip()
    return f"{url} answered with the status {status}" + (f" and {quoted(said)}." if said else " and nothing else.")


def _seconds(text: str | None) -> float | None:
    """Return the seconds of a Retry-After; None where it names a date, which no server of models sends."""
    return float(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 9 else None
