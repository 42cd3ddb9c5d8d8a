"""The Falcon app: every route of the REST face, and what all of them pass through."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import falcon

from srv.dataplane import DataPlane
from srv.hookspecs import Running
from srv.modelplane import ModelPlane
from srv.rest import errors
from srv.rest.compression import Compression
from srv.rest.docs import Description
from srv.rest.generate import Generate
from srv.rest.health import Live, Ready, Root, Server
from srv.rest.infer import Infer, RequestReader
from srv.rest.models import ModelConfig, ModelPage, ModelReady, Models, Statistics
from srv.rest.openapi import Route
from srv.rest.origins import Cors, Origins
from srv.rest.passing import Passage
from srv.rest.repository import Control, Index
from srv.rest.streaming import InferStream
from srv.settings import ServerSettings


class Refused(Protocol):
    """What the worker refuses itself."""

    code: str


class App(falcon.App[falcon.Request, falcon.Response]):
    """The REST face as a WSGI app."""

    _RUN_WITHOUT_WAITING = frozenset({"/", "/v2", "/v2/models", "/v2/health/live", "/v2/health/ready"})

    def __init__(
        self,
        middleware: Sequence[Any],
        *,
        root_path: str,
        server: Running | None,
        turned_away: Callable[[str, str], None],
    ) -> None:
        super().__init__(middleware=[Passage(server), *middleware])
        self._all_nonblocking = all(getattr(layer, "srv_nonblocking", False) for layer in middleware)
        self._root = root_path
        self._turned_away = turned_away
        #: Every route, in the order in which they were added.
        self.routes: list[Route] = []
        self.req_options.strip_url_path_trailing_slash = True

    def srv_refused(self, refused: Refused) -> None:
        """Told by the worker of each request that it refuses itself."""
        self._turned_away("rest", refused.code)

    def srv_nonblocking(self, method: str, path: str) -> bool:
        """Whether a request to this path never waits for a model or for a plugin's code."""
        if not self._all_nonblocking or method not in ("GET", "HEAD"):
            return False
        path = self._below_root(path)
        if path in self._RUN_WITHOUT_WAITING:
            return True
        # These read what all workers have written, or tell of every model, and a busy disk must not hold the leader.
        return path.startswith("/v2/models/") and not path.endswith(("/stats", "/dataplane.json"))

    def add_route(self, uri_template: str, resource: object, **options: Any) -> None:
        """As Falcon has it; what stands at the path is described by the face's own description."""
        super().add_route(uri_template, resource, **options)
        self.routes.append((uri_template, resource))

    def _below_root(self, path: str) -> str:
        if not self._root or not path.startswith(self._root):
            return path
        below = path[len(self._root) :]
        return (below or "/") if below[:1] in ("", "/") else path


class AppBelow(App):
    """The same below `root_path` as at the root, because a proxy may or may not take the prefix off."""

    def __call__(self, env: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """Answer one request."""
        path = env["PATH_INFO"]
        below = self._below_root(path)
        if below is not path:
            env["SCRIPT_NAME"] = env.get("SCRIPT_NAME", "") + self._root
            env["PATH_INFO"] = below
        return super().__call__(env, start_response)


def create_app(
    dataplane: DataPlane,
    modelplane: ModelPlane,
    settings: ServerSettings,
    *,
    middleware: Sequence[Any] = (),
    server: Running | None = None,
) -> App:
    """The app over a data plane and a model plane. Opens no port and starts no thread; make as many as you like.

    `middleware` is what plugins bring; `server` is what their routes, added later, find as `req.context.server`.
    """
    app = (AppBelow if settings.root_path else App)(
        [*_own_middleware(settings), *middleware],
        root_path=settings.root_path,
        server=server,
        turned_away=dataplane.turned_away,
    )
    errors.install(app)
    reader = RequestReader(settings, dataplane)
    app.add_route("/", Root(dataplane))
    app.add_route("/v2", Server(dataplane))
    app.add_route("/v2/health/live", Live())
    app.add_route("/v2/health/ready", Ready(dataplane))
    app.add_route("/v2/models", Models(dataplane))
    app.add_route("/v2/models/stats", Statistics(dataplane))
    description = Description(dataplane, lambda: app.routes, settings.root_path)
    app.add_route("/v2/docs/dataplane.json", description)
    of_models: Sequence[tuple[str, object]] = (
        ("", ModelPage(dataplane)),
        ("/ready", ModelReady(dataplane)),
        ("/config", ModelConfig(dataplane)),
        ("/stats", Statistics(dataplane)),
        ("/docs/dataplane.json", description),
        ("/infer", Infer(dataplane, reader)),
        ("/infer_stream", InferStream(dataplane, reader)),
        ("/generate", Generate(dataplane, reader, stream=False)),
        ("/generate_stream", Generate(dataplane, reader, stream=True)),
    )
    for end, resource in of_models:
        app.add_route("/v2/models/{model}" + end, resource)
        app.add_route("/v2/models/{model}/versions/{version}" + end, resource)
    app.add_route("/v2/repository/index", Index(modelplane, reader))
    app.add_route("/v2/repository/models/{model}/load", Control(modelplane, reader, loads=True))
    app.add_route("/v2/repository/models/{model}/unload", Control(modelplane, reader, loads=False))
    return app


def _own_middleware(settings: ServerSettings) -> Iterator[object]:
    """What the settings put between srv's first layer and those of plugins."""
    if settings.gzip_enabled:
        yield Compression()
    if settings.cors_settings is not None:
        yield Cors(settings.cors_settings)
    yield Origins(settings.cors_settings)
