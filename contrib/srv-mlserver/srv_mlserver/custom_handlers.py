"""Custom handlers of MLServer's classes: endpoints of FastAPI, which answers them, below srv's own middleware."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

from srv.errors import ModelError

if TYPE_CHECKING:
    from mlserver import MLModel

log = logging.getLogger("srv.mlserver")

#: Paths of srv's own, which stay its own.
_OWN = ("/v2/", "/metrics")


class HandlerFailed(ModelError):
    """A custom handler raised."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(f"Model '{name}' raised in its custom handler of {path}; the server's log says what.")


class _Handler:
    """One path of one model: its ASGI application, and the event loop that runs it."""

    def __init__(self, app: Any, model: MLModel, loop: asyncio.AbstractEventLoop) -> None:
        self.app = app
        self.model = model
        self.loop = loop


class CustomHandlers:
    """Middleware of Falcon's: it answers the paths that models have, and lets all others pass."""

    #: It looks a path up; a path that it answers is none that srv answers without a thread.
    srv_nonblocking = True

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._handlers: dict[tuple[str, str], _Handler] = {}

    def add(self, model: MLModel, loop: asyncio.AbstractEventLoop) -> None:
        """Serve the custom handlers of a model that was loaded; a path that another model has goes to this one."""
        from mlserver.handlers.custom import get_custom_handlers

        handlers = get_custom_handlers(model)
        if not handlers:
            return
        app = _application(handlers)
        with self._guard:
            served = dict(self._handlers)
            for handler, _ in handlers:
                if f"{handler.rest_path}/".startswith(_OWN):
                    log.warning(
                        "Model '%s': the custom handler of %s is not served, because srv has that path.",
                        model.name,
                        handler.rest_path,
                    )
                    continue
                served[handler.rest_method.upper(), handler.rest_path] = _Handler(app, model, loop)
            self._handlers = served

    def remove(self, model: MLModel) -> None:
        """Serve the custom handlers of a model no longer."""
        with self._guard:
            self._handlers = {key: each for key, each in self._handlers.items() if each.model is not model}

    def process_request(self, req: Any, resp: Any) -> None:
        """Answer a request whose method and path are a handler's."""
        found = self._handlers.get((req.method, req.path))
        if found is None:
            return
        status, headers, body = asyncio.run_coroutine_threadsafe(
            _asked(found, _scope(req), req.bounded_stream.read()), found.loop
        ).result()
        resp.status = status
        for name, value in headers:
            if name.lower() != b"content-length":
                resp.append_header(name.decode("latin-1"), value.decode("latin-1"))
        resp.data = body
        resp.complete = True


def _application(handlers: Any) -> Any:
    """Return the FastAPI application with these endpoints, which tells MLServer's errors as MLServer does."""
    from fastapi import FastAPI
    from mlserver.errors import MLServerError
    from mlserver.rest.errors import handle_mlserver_error

    app = FastAPI(openapi_url=None)
    app.add_exception_handler(MLServerError, handle_mlserver_error)
    for handler, method in handlers:
        app.add_api_route(handler.rest_path, method, methods=[handler.rest_method])
    return app


def _scope(req: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": req.method,
        "path": req.path,
        "raw_path": req.path.encode(),
        "query_string": req.query_string.encode(),
        "scheme": req.scheme,
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in req.headers.items()],
        "client": None,
        "server": None,
        "root_path": "",
    }


async def _asked(handler: _Handler, scope: dict[str, Any], body: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Run the application on one request. Raises HandlerFailed for what it raises."""
    from mlserver.context import model_context

    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    with model_context(handler.model.settings):
        try:
            await handler.app(scope, receive, send)
        except Exception as error:
            log.exception("Model '%s' raised in its custom handler of %s.", handler.model.name, scope["path"])
            raise HandlerFailed(handler.model.name, scope["path"]) from error
    start = next(message for message in sent if message["type"] == "http.response.start")
    chunks = (message.get("body", b"") for message in sent if message["type"] == "http.response.body")
    return start["status"], start["headers"], b"".join(chunks)
