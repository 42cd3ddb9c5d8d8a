"""The Falcon app of the REST face: its routes and its middleware."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import falcon

from srv.errors import NotFound, Unavailable
from srv.hookspecs import Server
from srv.models.registry import ModelVersion
from srv.planes.dataplane import DataPlane
from srv.planes.modelplane import ModelPlane
from srv.rest import errors
from srv.rest.compression import Compression
from srv.rest.cors import AllowedHosts, Cors, ForeignOrigins
from srv.rest.docs import Description
from srv.rest.generate import Generate
from srv.rest.health import PAGE, Live, Ready, Root, ServerResource
from srv.rest.infer import Infer, RequestReader
from srv.rest.middleware import EveryRequest
from srv.rest.model_routes import ModelRoutes, Router
from srv.rest.models import ModelConfig, ModelList, ModelPage, ModelReady, Statistics
from srv.rest.openapi import Route
from srv.rest.plugin_middleware import REFUSAL, PluginMiddleware
from srv.rest.repository import Control, Index
from srv.rest.streaming import InferStream
from srv.settings import ServerSettings
from srv.settings.schemas import is_loopback

#: How the template of a route begins that is one of every model.
_OF_MODELS = "/v2/models/{model}"


class CountedRefusal(Protocol):
    """A request that the worker refuses itself."""

    code: str


class App(falcon.App[falcon.Request, falcon.Response]):
    """The REST face as a WSGI app."""

    def __init__(
        self,
        middleware: Sequence[Any],
        *,
        root_path: str,
        server: Server | None,
        turned_away: Callable[[str, str], None],
    ) -> None:
        first = EveryRequest(server)
        self._routes = Router()
        super().__init__(middleware=[first, *middleware], router=self._routes)
        early = [layer for layer in middleware if getattr(layer, "srv_before_body", False)]
        checks = [layer.process_request for layer in (first, *early) if hasattr(layer, "process_request")]
        self._checks_of_heads = tuple(checks)
        self._all_nonblocking = all(getattr(layer, "srv_nonblocking", False) for layer in middleware)
        self._cors = next((layer for layer in middleware if isinstance(layer, Cors)), None)
        self._root = root_path
        self._turned_away = turned_away
        self._dataplane: DataPlane | None = None
        #: The routes of models' runtimes, for paths that have no other.
        self.model_routes: ModelRoutes | None = None
        #: Every route, in the order in which they were added.
        self.routes: list[Route] = []
        #: The plugin of each path that is a plugin's.
        self.plugins_of_routes: dict[str, str] = {}
        self.req_options.strip_url_path_trailing_slash = True

    def srv_refused(self, refused: CountedRefusal) -> None:
        """Count a request that the worker refused itself."""
        self._turned_away("rest", refused.code)

    def srv_headers_of_refusal(self, origin: str | None) -> tuple[tuple[str, str], ...]:
        """Return the headers that the worker adds where it refuses a request itself; `origin` is the request's."""
        return () if self._cors is None else self._cors.headers_for(origin)

    def srv_nonblocking(self, method: str, path: str) -> bool:
        """Return whether a request never waits: for a model, a disk, or a plugin's code that may wait.

        It is the resource that says so, by `srv_nonblocking = True`, of its GET alone.
        """
        if not self._all_nonblocking or method not in ("GET", "HEAD"):
            return False
        found = self._routes.find_added(self._below_root(path))
        return found is not None and getattr(found[0], "srv_nonblocking", False) is True

    def srv_refuses_by_head(self, environ: dict[str, Any]) -> bool:
        """Return whether a middleware that decides by headers alone refuses the request; called by the worker.

        The error is left in the environ, so that the request, then run without its body, is answered with it. A client that
        waits for a word before it sends a body is also refused where no route or model has the path.
        """
        req = self._request_type(environ, options=self.req_options)
        resp = self._response_type(options=self.resp_options)
        try:
            for check in self._checks_of_heads:
                check(req, resp)
                if resp.complete:  # answered by this one, so that those behind it are not asked
                    break
        except Exception as error:  # noqa: BLE001 - it is raised again where the request is answered
            environ[REFUSAL] = error
            return True
        return "HTTP_EXPECT" in environ and self._is_nowhere(req.path)

    def _is_nowhere(self, path: str) -> bool:
        """Return whether a path has no route, or is one below a model that is not there."""
        found = self._routes.find(path)
        if found is None:
            return True
        _, _, fields, template = found
        if self._dataplane is None or not template.startswith(_OF_MODELS):
            return False
        try:
            self._dataplane.model(fields["model"], fields.get("version"))
        except NotFound:
            return True
        except Unavailable:
            return False
        return False

    def add_route(self, uri_template: str, resource: object, **options: Any) -> None:
        """Add a route as Falcon does, and describe it in the OpenAPI document."""
        super().add_route(uri_template, resource, **options)
        self.routes.append((uri_template, resource))

    def add_model_routes(self, dataplane: DataPlane, reader: RequestReader, root_routes: Mapping[str, str]) -> None:
        """Answer with the routes of models' runtimes where no other route stands."""
        self._dataplane = dataplane
        self.model_routes = ModelRoutes(dataplane, reader, self._routes.find_added, root_routes)
        self._routes.elsewhere = self.model_routes.find

    def check_model_routes(self, model: ModelVersion) -> None:
        """Raise OwnPath where a loaded model has a route at a path of the server's or a plugin's."""
        if self.model_routes is not None:
            self.model_routes.check(model)

    def add_route_of_plugin(self, uri_template: str, resource: object, *, plugin: str, server: Server) -> None:
        """Add a route of a plugin, whose resource finds the server as the plugin has it as `req.context.server`."""
        self.add_route(uri_template, resource, server=server)
        self.plugins_of_routes[uri_template] = plugin

    def _below_root(self, path: str) -> str:
        if not self._root or not path.startswith(self._root):
            return path
        below = path[len(self._root) :]
        return (below or "/") if below[:1] in ("", "/") else path


class AppBelow(App):
    """The app below `root_path` and at the root, because a proxy may or may not take the prefix off."""

    def __call__(self, env: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """Answer one request."""
        self._take_prefix_off(env)
        return super().__call__(env, start_response)

    def srv_refuses_by_head(self, environ: dict[str, Any]) -> bool:
        """Return what the app at the root returns for the path without the prefix."""
        below = dict(environ)
        self._take_prefix_off(below)
        refused = super().srv_refuses_by_head(below)
        if REFUSAL in below:
            environ[REFUSAL] = below[REFUSAL]
        return refused

    def _take_prefix_off(self, env: dict[str, Any]) -> None:
        path = env["PATH_INFO"]
        below = self._below_root(path)
        if below is not path:
            env["SCRIPT_NAME"] = env.get("SCRIPT_NAME", "") + self._root
            env["PATH_INFO"] = below


def create_app(
    dataplane: DataPlane,
    modelplane: ModelPlane,
    settings: ServerSettings,
    *,
    middleware: Sequence[Any] = (),
    server: Server | None = None,
    owner_of: Callable[[object], str] = lambda _: "unknown",
    complete_openapi: Callable[[dict[str, Any]], None] = lambda _: None,
) -> App:
    """Make the app over a data plane and a model plane. Opens no port and starts no thread.

    `middleware` is what plugins bring, and `owner_of` tells which plugin; `server` is what it
    finds as `req.context.server`. `complete_openapi` lets plugins change an OpenAPI document.
    """
    app = (AppBelow if settings.root_path else App)(
        [*_own_middleware(settings), *(PluginMiddleware(owner_of(layer), layer) for layer in middleware)],
        root_path=settings.root_path,
        server=server,
        turned_away=dataplane.turned_away,
    )
    errors.install(app, app.plugins_of_routes)
    reader = RequestReader(settings, dataplane)
    app.add_route("/", Root(dataplane, settings.root_path, lambda: PAGE in app.plugins_of_routes))
    app.add_route("/v2", ServerResource(dataplane))
    app.add_route("/v2/health/live", Live())
    app.add_route("/v2/health/ready", Ready(dataplane))
    app.add_route("/v2/models", ModelList(dataplane))
    app.add_route("/v2/models/stats", Statistics(dataplane))
    description = Description(dataplane, lambda: app.routes, settings.root_path, complete_openapi)
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
    app.add_model_routes(dataplane, reader, settings.root_routes)
    return app


def _own_middleware(settings: ServerSettings) -> Iterator[object]:
    """Yield the middleware that settings ask for, between that of every request and that of plugins."""
    if settings.gzip_enabled:
        yield Compression()
    if settings.cors_settings is not None:
        yield Cors(settings.cors_settings)
    if settings.allowed_hosts is not None:
        yield AllowedHosts(settings.allowed_hosts)
    on_loopback = is_loopback(settings.host) and not settings.is_on_unix_socket()
    yield ForeignOrigins(settings.cors_settings, loopback_only=on_loopback and settings.allowed_hosts is None)
