"""The one table from what went wrong to what REST says of it, and the JSON of every answer that is not 2xx."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import falcon
import orjson

from srv import errors
from srv.tensors import EMPTY

log = logging.getLogger(__name__)

#: Class of error → (the contract's stable name, HTTP status). The most derived class that stands here decides.
TABLE: Mapping[type[Exception], tuple[str, int]] = {
    errors.InvalidInput: ("INVALID_INPUT", 400),
    errors.Unauthenticated: ("UNAUTHENTICATED", 401),
    errors.Forbidden: ("FORBIDDEN", 403),
    errors.LoadFailed: ("LOAD_FAILED", 400),
    errors.LoadIncomplete: ("LOAD_INCOMPLETE", 500),
    errors.NotFound: ("NOT_FOUND", 404),
    errors.TooLarge: ("TOO_LARGE", 413),
    errors.UnsupportedMedia: ("UNSUPPORTED_MEDIA", 415),
    errors.QueueFull: ("QUEUE_FULL", 429),
    errors.ModelError: ("MODEL_ERROR", 500),
    errors.Unimplemented: ("UNIMPLEMENTED", 501),
    errors.Unavailable: ("UNAVAILABLE", 503),
    errors.DeadlinePassed: ("DEADLINE", 504),
    errors.ClientLeft: ("CANCELLED", 499),
}
INTERNAL = ("INTERNAL", 500)

#: What Falcon itself raises, by status.
_OF_FALCON: Mapping[int, str] = {
    400: "BAD_REQUEST",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    413: "TOO_LARGE",
    415: "UNSUPPORTED_MEDIA",
    501: "UNIMPLEMENTED",
}
_RETRY_AFTER = {429: "1", 503: "1"}


class UnknownRoute(errors.NotFound):
    """Nothing stands at this path."""

    def __init__(self, path: str) -> None:
        super().__init__(f"Nothing stands at {errors.quoted(path)}; the models are listed at /v2/models.")


class WrongMethod(errors.SrvError):
    """The path is right and the method is not."""

    def __init__(self, method: str, allowed: str) -> None:
        super().__init__(f"{errors.quoted(method)} is not allowed here; allowed: {allowed}.")


def code_and_status(error: BaseException) -> tuple[str, int]:
    """The stable name and the HTTP status of an error; INTERNAL for what nobody foresaw."""
    for kind in type(error).__mro__:
        if kind in TABLE:
            return TABLE[kind]
    return INTERNAL


def body_of(sentence: str, code: str, beside: Mapping[str, Any] = EMPTY) -> bytes:
    """The JSON of an answer that is not 2xx."""
    return orjson.dumps({**beside, "error": sentence, "code": code})


def install(app: falcon.App[Any, Any]) -> None:
    """Give an app the table: every error of every route is answered from it."""
    app.add_error_handler(Exception, _unforeseen)
    app.add_error_handler(falcon.HTTPError, _of_falcon)
    app.add_error_handler(errors.SrvError, _known)


def answer_with(resp: falcon.Response, error: errors.SrvError, beside: Mapping[str, Any] = EMPTY) -> None:
    """Write an error into a response; a ready answer keeps its own fields beside it."""
    code, status = code_and_status(error)
    sentence = str(error) if code != INTERNAL[0] else INTERNAL_SENTENCE
    resp.status = falcon.code_to_http_status(status)
    resp.content_type = falcon.MEDIA_JSON
    resp.data = body_of(sentence, code, beside)
    resp.text = None
    resp.stream = None
    resp.context.code = code
    if status in _RETRY_AFTER:
        resp.set_header("Retry-After", _RETRY_AFTER[status])
    if status == 401:
        resp.set_header("WWW-Authenticate", "Bearer")


INTERNAL_SENTENCE = "Something went wrong inside the server; its log says more."


def _known(req: falcon.Request, resp: falcon.Response, error: errors.SrvError, params: object) -> None:
    if code_and_status(error) == INTERNAL:
        log.error("%s %s failed: %s", req.method, req.path, error, exc_info=error)
    answer_with(resp, error)


def _of_falcon(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, params: object) -> None:
    status = falcon.http_status_to_code(error.status)
    headers = dict(error.headers or {})
    if status == 404:
        answer_with(resp, UnknownRoute(req.path))
        return
    sentence = error.description or error.title or str(error.status)
    if status == 405:
        allowed = headers.get("Allow") or headers.get("allow") or ""
        sentence = str(WrongMethod(req.method, allowed))
    resp.status = error.status
    resp.content_type = falcon.MEDIA_JSON
    resp.data = body_of(sentence, _OF_FALCON.get(status, "BAD_REQUEST" if status < 500 else INTERNAL[0]))
    for name, value in headers.items():
        resp.set_header(name, value)


def _unforeseen(req: falcon.Request, resp: falcon.Response, error: Exception, params: object) -> None:
    log.error("%s %s raised %s.", req.method, req.path, type(error).__name__, exc_info=error)
    resp.status = falcon.HTTP_500
    resp.content_type = falcon.MEDIA_JSON
    resp.data = body_of(INTERNAL_SENTENCE, INTERNAL[0])
    resp.text = None
    resp.stream = None
