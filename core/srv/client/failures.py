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
#: The class of a status, for servers that send no stable name.
_CLASSES_BY_STATUS = {status: CLASSES[code] for code, status in reversed(list(STATUSES.items()))}


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


class NotTheProtocol(SrvError):
    """What answered does not speak the Open Inference Protocol."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"What answers at {url} does not speak the Open Inference Protocol: {why}.")


def failure_of(status: int, headers: Mapping[str, str], body: bytes, url: str) -> SrvError:
    """Return the error that an HTTP response stands for, with the server's sentence, code and request id."""
    sentence, code = _said(body)
    kind = CLASSES.get(code or "", _CLASSES_BY_STATUS.get(status, SrvError))
    return told(kind, sentence or _unsaid(status, body, url), code, headers)


def told(kind: type[SrvError], sentence: str, code: str | None, headers: Mapping[str, str]) -> SrvError:
    """Return an error of that class that says what the server said."""
    error = kind.__new__(kind)
    SrvError.__init__(error, sentence)
    if code is not None:
        vars(error)["code"] = code  # the server's own, which may be one that no class has
    error.request_id = headers.get("x-request-id")
    error.retry_after = _seconds(headers.get("retry-after"))
    return error


def _said(body: bytes) -> tuple[str | None, str | None]:
    """Return sentence and code of an error's body. KServe, Triton and MLServer say `error` too; FastAPI says `detail`."""
    try:
        document: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None, None
    if not isinstance(document, dict):
        return None, None
    sentence, code = document.get("error", document.get("detail")), document.get("code")
    return (sentence if isinstance(sentence, str) else None), (code if isinstance(code, str) else None)


def _unsaid(status: int, body: bytes, url: str) -> str:
    said = body[:200].decode(errors="replace").strip()
    return f"{url} answered with the status {status}" + (f" and {quoted(said)}." if said else " and nothing else.")


def _seconds(text: str | None) -> float | None:
    """Return the seconds of a Retry-After; None where it names a date, which no server of models sends."""
    return float(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 9 else None
