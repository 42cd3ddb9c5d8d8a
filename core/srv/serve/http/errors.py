"""What the worker answers itself, without the app: the class makes the sentence, the status and the code."""

from __future__ import annotations

import json
from http import HTTPStatus

from srv.errors import ClientLeft, DeadlinePassed, OutOfMemory, SrvError, TooLarge, quoted
from srv.planes.limits import BytesOverflow


class Refused(SrvError):
    """A request that the worker answers itself; unless `closes` says otherwise the connection ends with it."""

    status: int = HTTPStatus.BAD_REQUEST
    code = "BAD_REQUEST"
    headers: tuple[tuple[str, str], ...] = ()
    closes = True
    #: The Origin header, where the head was read and the request is refused for what it says.
    origin: str | None = None

    @property
    def line(self) -> str:
        """Return the status and its phrase."""
        return f"{self.status:d} {HTTPStatus(self.status).phrase}"


class BrokenRequest(Refused):
    """What came is not HTTP, or is HTTP that two servers could read differently."""

    def __init__(self, fault: str) -> None:
        super().__init__(f"The request is broken: {fault}.")


class ProxyProtocol(BrokenRequest):
    """The connection begins with the PROXY protocol, which load balancers put before what they pass on."""

    def __init__(self) -> None:
        super().__init__(
            "it begins with the PROXY protocol, which is not spoken here; have the proxy send HTTP alone, in haproxy "
            "without send-proxy"
        )


class PlainHttp(BrokenRequest):
    """A request came without TLS on a port that speaks TLS only."""

    def __init__(self) -> None:
        super().__init__("it is plain HTTP, and this port speaks HTTPS only; ask with https:// in place of http://")


class ExpectationUnknown(Refused):
    """The Expect header asks for something else than 100-continue."""

    status = HTTPStatus.EXPECTATION_FAILED

    def __init__(self, expectation: str) -> None:
        super().__init__(f"The expectation {quoted(expectation)} is not known; only '100-continue' is.")


class RequestTooSlow(Refused):
    """The head did not end in time, or the body made no progress."""

    status = HTTPStatus.REQUEST_TIMEOUT
    code = "TIMEOUT"

    def __init__(self, part: str, setting: str, seconds: float) -> None:
        super().__init__(f"The request's {part} did not come within the {seconds:g} seconds that {setting} allows.")


class BodyTooLarge(Refused):
    """The body is, or says it is, longer than max_body_size."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    code = "TOO_LARGE"

    def __init__(self, limit: int) -> None:
        super().__init__(str(TooLarge(limit)))


class TargetTooLong(Refused):
    """The request line is longer than a request line may be."""

    status = HTTPStatus.REQUEST_URI_TOO_LONG
    code = "URI_TOO_LONG"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The request line is longer than {limit} bytes.")


class HeadersTooLarge(Refused):
    """The head, or the trailers of a chunked body, are longer than max_header_size."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    code = "HEADERS_TOO_LARGE"

    def __init__(self, limit: int, part: str = "headers") -> None:
        super().__init__(f"The request's {part} are larger than the {limit} bytes that max_header_size allows.")


class TooManyHeaders(Refused):
    """The head has more headers, or a chunked body more trailers, than the worker reads."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    code = "HEADERS_TOO_LARGE"

    def __init__(self, limit: int, part: str = "headers") -> None:
        super().__init__(f"The request has more than {limit} {part}, the most that srv reads.")


class NotBuilt(Refused):
    """A method or a transfer coding that the worker does not know."""

    status = HTTPStatus.NOT_IMPLEMENTED
    code = "UNIMPLEMENTED"

    def __init__(self, kind: str, word: str) -> None:
        super().__init__(f"The {kind} {quoted(word)} is not implemented.")


class VersionUnknown(Refused):
    """Another version of HTTP than 1.0 and 1.1."""

    status = HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
    code = "HTTP_VERSION"

    def __init__(self, version: str) -> None:
        super().__init__(f"{quoted(version)} is not spoken here; HTTP/1.1 and HTTP/1.0 are.")


class QueueOverflow(Refused):
    """Every thread runs a request and the queue before them is full."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "QUEUE_FULL"
    headers = (("Retry-After", "1"),)
    closes = False

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} requests wait already, as many as max_queue allows. Try again later.")


class StreamsOverflow(Refused):
    """As many streams are open as there may be."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "QUEUE_FULL"
    headers = (("Retry-After", "1"),)
    closes = False

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} streams are open already, as many as max_streams allows. Try again later.")


class InflightOverflow(Refused):
    """The bodies in flight together are more than the worker may hold."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "UNAVAILABLE"
    headers = (("Retry-After", "1"),)

    def __init__(self, limit: int) -> None:
        super().__init__(str(BytesOverflow(limit)))


class BodyOutOfMemory(Refused):
    """The process has no memory for a body that the limits allow."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "UNAVAILABLE"
    headers = (("Retry-After", "1"),)

    def __init__(self) -> None:
        super().__init__(str(OutOfMemory()))


class TooLate(Refused):
    """The deadline passed before the answer was there."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    code = "DEADLINE"

    def __init__(self, seconds: float) -> None:
        super().__init__(str(DeadlinePassed(seconds)))


class CallerLeft(Refused):
    """The client closed its side while its request waited for a thread."""

    status = 499
    code = "CANCELLED"

    def __init__(self) -> None:
        super().__init__(str(ClientLeft()))

    @property
    def line(self) -> str:
        """Return nginx's status line, because HTTP has none for this."""
        return "499 Client Closed Request"


class AppFailed(Refused):
    """The application raised, or answered with what cannot be sent; the log says why."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    code = "INTERNAL"

    def __init__(self) -> None:
        super().__init__("The server failed to answer this request; its log says why.")


def body_of(refused: Refused) -> bytes:
    """Return the JSON that every answer which is not 2xx carries."""
    return json.dumps({"error": str(refused), "code": refused.code}, ensure_ascii=False).encode()
