"""The HTTP status of each error, and the JSON of every response that is not 2xx."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import falcon
import orjson

from srv import errors
from srv.rest.statuses import STATUSES
from srv.tensors import EMPTY

log = logging.getLogger(__name__)

INTERNAL = errors.SrvError.code

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
    """No route has this path."""

    def __init__(self, path: str) -> None:
        super().__init__(f"Nothing stands at {errors.quoted(path)}; {_what_instead(path)}.")


class WrongMethod(errors.SrvError):
    """The route does not have this method."""

    def __init__(self, method: str, allowed: str) -> None:
        super().__init__(f"{errors.quoted(method)} is not allowed here; allowed: {allowed}.")


_OF_V1 = re.compile(r"/v1/models(?:/([A-Za-z0-9_][A-Za-z0-9._-]{0,127})(?:/versions/[^/:]*)?(:predict)?)?")
#: Paths at which other servers take predictions.
_ELSEWHERE = frozenset({"/invocations", "/predict", "/infer", "/api/v1.0/predictions", "/v1/predict"})


def _what_instead(path: str) -> str:
    """Return the V2 path for a path of another protocol; for any other, where the models are listed."""
    of_v1 = _OF_V1.fullmatch(path)
    if of_v1 is not None:
        model, predicts = of_v1[1], of_v1[2]
        asked = "/v2/models" if model is None else f"/v2/models/{model}/{'infer' if predicts else 'ready'}"
        return f"that is a path of the V1 protocol, and this is V2: {'POST' if predicts else 'GET'} {asked}"
    if path in _ELSEWHERE or path.startswith("/v1/"):
        return "predictions are asked for by the V2 protocol: POST /v2/models/NAME/infer"
    return "the models are listed at /v2/models"


def code_and_status(error: BaseException) -> tuple[str, int]:
    """Return the stable name and the HTTP status of an error; INTERNAL and 500 for what is no SrvError."""
    code = errors.code_of(error)
    return code, STATUSES[code]


def body_of(sentence: str, code: str, beside: Mapping[str, Any] = EMPTY) -> bytes:
    """Return the JSON of a response that is not 2xx."""
    return orjson.dumps({**beside, "error": sentence, "code": code})


def install(app: falcon.App[Any, Any], plugins_of_routes: Mapping[str, str] | None = None) -> None:
    """Have an app answer every error of every route with its status, its code and its sentence.

    `plugins_of_routes` names the plugin of each path that is a plugin's.
    """
    app.add_error_handler(Exception, partial(_unforeseen, EMPTY if plugins_of_routes is None else plugins_of_routes))
    app.add_error_handler(falcon.HTTPError, _of_falcon)
    app.add_error_handler(errors.SrvError, _known)


def answer_with(resp: falcon.Response, error: errors.SrvError, beside: Mapping[str, Any] = EMPTY) -> None:
    """Write an error into a response, with the fields that stand `beside` it."""
    code, status = code_and_status(error)
    foreseen = code != INTERNAL or isinstance(error, errors.PluginFailed)
    sentence = errors.sentence_of(error) if foreseen else INTERNAL_SENTENCE
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
    if errors.code_of(error) == INTERNAL and not isinstance(error, errors.PluginFailed):
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
    resp.data = body_of(sentence, _OF_FALCON.get(status, "BAD_REQUEST" if status < 500 else INTERNAL))
    for name, value in headers.items():
        resp.set_header(name, value)


def _unforeseen(
    plugins_of_routes: Mapping[str, str],
    req: falcon.Request,
    resp: falcon.Response,
    error: Exception,
    params: object,
) -> None:
    plugin = plugins_of_routes.get(req.uri_template or "")
    if plugin is not None:
        log.error("Plugin '%s' raised in its route %s.", plugin, req.uri_template, exc_info=error)
        answer_with(resp, errors.PluginFailed(plugin, "its route", error))
        return
    log.error("%s %s raised %s.", req.method, req.path, type(error).__name__, exc_info=error)
    if isinstance(error, MemoryError):
        answer_with(resp, errors.OutOfMemory())
        return
    resp.status = falcon.HTTP_500
    resp.content_type = falcon.MEDIA_JSON
    resp.data = body_of(INTERNAL_SENTENCE, INTERNAL)
    resp.text = None
    resp.stream = None
