"""The routes of models' runtimes: found by path where no other route stands, because models come and go."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NoReturn, TypeAlias

import falcon
import msgspec
from falcon.routing import set_default_responders

from srv.cancellation import NOBODY
from srv.errors import NotFound, SrvError
from srv.inference.routes.failures import BadRoute, OwnPath
from srv.inference.routes.paths import RoutePath
from srv.models.registry import ModelState, ModelVersion, ServedRoute
from srv.planes.dataplane import DataPlane
from srv.planes.readiness import ModelNotReady
from srv.planes.route_requests import RouteRequests
from srv.planes.statistics import outcome_of
from srv.rest.health import WholeServer
from srv.rest.infer import RequestReader, write_headers
from srv.rest.plugin_routes import PluginRouter
from srv.rest.streaming import EVENTS, failure_event, keep_unbuffered
from srv.routes import RouteRequest

#: What Falcon's router finds: a resource, what answers each method, the fields of the path, and its template.
Found: TypeAlias = tuple[object, Mapping[str, Callable[..., object]], dict[str, str], str]

_MODELS = "/v2/models/"
#: What `OPTIONS *` has in place of a path.
_WHOLE = "*"


class Router(PluginRouter):
    """Falcon's router, which asks `elsewhere` for a path that it does not know."""

    def __init__(self) -> None:
        super().__init__()
        #: Finds the route of a path that was added, or None.
        self.find_added: Callable[..., Any] = super().find
        self.elsewhere: Callable[[str], Found | None] = lambda path: None  # noqa: ARG005  until somebody knows more
        whole = WholeServer()
        of_whole: dict[str, Any] = {"OPTIONS": whole.on_options}
        set_default_responders(of_whole)
        self._whole_server: Found = (whole, of_whole, {}, _WHOLE)

    def find(self, uri: str, req: Any = None) -> Any:
        """Return the route of a path: one that was added, or one of a model's runtime. None where nothing stands there."""
        found = self.find_added(uri, req)
        if found is not None:
            return found
        return self._whole_server if uri == _WHOLE else self.elsewhere(uri)


class ModelRoutes:
    """The routes of models' runtimes. `root_routes` is the setting of that name; `added` finds the routes of anybody else."""

    def __init__(
        self,
        dataplane: DataPlane,
        reader: RequestReader,
        added: Callable[[str], object],
        root_routes: Mapping[str, str],
    ) -> None:
        self._dataplane = dataplane
        self._reader = reader
        self._added = added
        self._requests = RouteRequests(dataplane)
        self._at_root: list[tuple[RoutePath, str]] = []
        for template, model in root_routes.items():
            with suppress(BadRoute):  # a model that declares it does not load
                self._at_root.append((RoutePath(template), model))
        self._at_root.sort(key=lambda each: each[0].order)

    def check(self, model: ModelVersion) -> None:
        """Raise OwnPath for a route of a loaded model where a route of the server's or of a plugin's stands."""
        for route in model.routes:
            if self._added(route.described.path_below(f"{_MODELS}{model.name}")) is not None:
                raise OwnPath(route.described.path)

    def find(self, path: str) -> Found | None:
        """Return the route of a path, for Falcon, or None where no model has one there.

        Whatever stands below a model that is not ready answers with that, because its routes are not known.
        """
        if not path.startswith(_MODELS):
            for template, model in self._at_root:
                if template.match(path[1:]) is not None:
                    return self._of_model(path[1:], "", model, None)
            return None
        name, _, below = path.removeprefix(_MODELS).partition("/")
        version: str | None = None
        if below.startswith("versions/"):
            version, _, below = below.removeprefix("versions/").partition("/")
        if not (name and below):
            return None
        return self._of_model(below, f"{_MODELS}{{model}}/" + ("versions/{version}/" if version else ""), name, version)

    def _of_model(self, path: str, place: str, name: str, version: str | None) -> Found | None:
        """Return the route of a model for a path below `place`, or at the root where that is empty."""
        params = {"model": name} if version is None else {"model": name, "version": version}
        looked_at: ModelVersion | None = None
        while True:
            try:
                model = self._dataplane.model(name, version)
                if model.state is not ModelState.READY:
                    raise ModelNotReady(model)
            except NotFound:
                return None
            except SrvError as error:
                return self, _Refusing(error), params, place
            routes = [route for route in model.routes if route.at_root == (not place)]
            for route in routes:
                fields = route.match(path)
                if fields is not None:
                    here = [each for each in routes if each.described.path == route.described.path]
                    asked = _Asked(model, version, path if place else f"/{path}", fields)
                    return self, self._method_map(here, asked), params, place + route.described.path
            if model is looked_at:
                return None
            looked_at = model  # looked at again, because a model that was replaced in this moment has lost its routes

    def _method_map(self, routes: Sequence[ServedRoute], asked: _Asked) -> Mapping[str, Callable[..., object]]:
        """Return what answers each method at one path. HEAD is answered like GET, unless that is a stream."""
        methods: dict[str, Any] = {route.described.method: partial(self._answer, route, asked) for route in routes}
        whole = next((route for route in routes if route.described.method == "GET"), None)
        if whole is not None and not whole.described.streams:
            methods["HEAD"] = methods["GET"]
        set_default_responders(methods)
        return methods

    def _answer(self, route: ServedRoute, asked: _Asked, req: falcon.Request, resp: falcon.Response, **_: str) -> None:
        """Answer a request with what the route gives."""
        self._reader.begin(req, asked.model)
        context = req.context
        received, stages = context.started, context.stages
        try:
            body = bytes(self._reader.body_of_any_type(req))
        except SrvError as error:
            self._requests.count(asked.model, route.described, outcome_of(error), received, stages)
            raise
        request = RouteRequest(
            route.described.method,
            asked.path,
            body,
            path_parameters=asked.fields,
            query_string=req.query_string,
            headers=self._reader.headers(req),
        )
        request.caller = req.env.get("srv.caller", NOBODY)
        response = self._requests.answer(asked.model, asked.version, route, request, received=received, stages=stages)
        resp.status = falcon.code_to_http_status(response.status)
        if response.content_type is not None:
            resp.content_type = response.content_type
        if not route.described.streams:
            resp.data = response.body
        else:
            is_events = str(response.content_type).lower().startswith(EVENTS)
            keep_unbuffered(resp)
            resp.stream = _Events(response.body, resp) if is_events else response.body
        write_headers(resp, response.headers)


class _Asked(msgspec.Struct, frozen=True):
    """What a request's path says: the model, the version that it names, the rest of it, and the values of its fields."""

    model: ModelVersion
    version: str | None
    path: str
    fields: Mapping[str, str]


class _Refusing(dict[str, Callable[..., object]]):
    """What answers any method where a model's routes are not known: it raises the reason."""

    def __init__(self, error: SrvError) -> None:
        super().__init__()
        self._error = error

    def __missing__(self, method: str) -> Callable[..., object]:
        def refuse(*_: object, **__: object) -> NoReturn:
            raise self._error

        return refuse


class _Events:
    """The events of a stream; an error between two of them is the last one, and stands in the access log."""

    def __init__(self, body: Any, resp: falcon.Response) -> None:
        self._body = body
        self._resp = resp

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._body
        except Exception as error:  # noqa: BLE001  of whatever kind, it is the client's to know
            yield failure_event(error, self._resp)

    def close(self) -> None:
        """Close the body."""
        self._body.close()
