"""What a route's method returns or yields, as bytes with their content type."""

from __future__ import annotations

import inspect
import re
from typing import Any

import orjson

from srv.errors import quoted
from srv.inference.response_validation import NotSendable, check_headers
from srv.inference.routes.failures import BadRouteValue
from srv.inference.routes.plain_arrays import plain
from srv.routes import RouteResponse

EVENTS, JSON = "text/event-stream", "application/json"
_TEXT, _BYTES = "text/plain; charset=utf-8", "application/octet-stream"
_TAKES = "a dict, a list, text, bytes or an srv.RouteResponse"
#: Statuses of responses that have no body.
BODILESS = frozenset({204, 304})
_LINE_END = re.compile(r"\r\n|\r|\n")
#: Headers that belong to the connection, or that srv writes from what it sends.
_NOT_ITS_OWN = frozenset({"connection", "content-length", "keep-alive", "trailer", "transfer-encoding", "upgrade"})


def as_response(value: object, route: str) -> RouteResponse:
    """Return what a method returned as a response whose body is bytes. Raises BadRouteValue."""
    response = value if isinstance(value, RouteResponse) else RouteResponse(value)
    check_head(response, route)
    body, usual = _encoded(response.body, route)
    if response.status not in BODILESS:
        return RouteResponse(body, response.status, response.content_type or usual, response.headers)
    if body:
        raise BadRouteValue(route, f"a body with the status {response.status}, which has none")
    return RouteResponse(body, response.status, None, response.headers)


def check_head(response: RouteResponse, route: str) -> None:
    """Raise BadRouteValue for a status, a content type or a header that cannot be sent."""
    status: object = response.status
    if isinstance(status, bool) or not isinstance(status, int) or not 200 <= status <= 599:
        raise BadRouteValue(route, f"the status {quoted(status)}; a status is a number from 200 to 599")
    headers = response.headers
    try:
        check_headers(headers)
        if response.content_type is not None:
            check_headers({"Content-Type": response.content_type})
    except NotSendable as error:
        raise BadRouteValue(route, f"a response that cannot be sent. {str(error).removesuffix('.')}") from None
    for name in headers:
        if name.lower() in _NOT_ITS_OWN:
            raise BadRouteValue(route, f"the header '{name}', which the server writes itself")
        if name.lower() == "content-type":
            raise BadRouteValue(route, f"the header '{name}'; a content type goes into RouteResponse's content_type")


def check_stream_head(response: RouteResponse, route: str) -> None:
    """Raise BadRouteValue for a head that cannot be a stream's."""
    check_head(response, route)
    if response.status in BODILESS:
        raise BadRouteValue(route, f"a stream with the status {response.status}, which has no body")


def event_of_value(value: object, route: str) -> bytes:
    """Return what a stream yielded as a server-sent event; bytes are events already. Raises BadRouteValue."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return b"".join(b"data: %b\n" % line.encode() for line in _LINE_END.split(value)) + b"\n"
    return b"data: %b\n\n" % _encoded(value, route)[0]


def piece_of_value(value: object, route: str) -> bytes:
    """Return what a stream of another content type yielded: text and bytes as they are, JSON as a line."""
    body, usual = _encoded(value, route)
    return body + b"\n" if usual == JSON else body


def _encoded(value: Any, route: str) -> tuple[bytes, str]:
    """Return a value's bytes and the content type of its kind. Raises BadRouteValue."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value), _BYTES
    if isinstance(value, str):
        return value.encode(), _TEXT
    if isinstance(value, dict | list):
        try:
            return orjson.dumps(value, plain), JSON
        except orjson.JSONEncodeError as error:
            raise BadRouteValue(route, f"a {type(value).__name__} that is no JSON: {error}") from None
    if inspect.isgenerator(value) or inspect.isasyncgen(value):
        raise BadRouteValue(route, "a generator; to stream, write yield in the method itself")
    raise BadRouteValue(route, f"a value of type {type(value).__name__}; it can give {_TAKES}")
