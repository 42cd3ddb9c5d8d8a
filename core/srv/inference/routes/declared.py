"""The routes that a runtime declares, read and checked once it is loaded."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from srv.errors import listed, nearest, quoted
from srv.inference.execution import Execution
from srv.inference.routes.calls import RuntimeRoute
from srv.inference.routes.failures import BadRoute
from srv.inference.routes.paths import RoutePath
from srv.inference.thread_setup import MethodThreads
from srv.messages import ModelRoute
from srv.models.runtime_classes import takes
from srv.routes import RouteRequest
from srv.runtime import Runtime

log = logging.getLogger(__name__)

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_EXAMPLE = 'routes = [("POST", "explain", "explain")]: an HTTP method, a path, and the name of a method of the class'


def read_routes(
    runtime: Runtime, execution: Execution, threads: MethodThreads, root_routes: Mapping[str, str]
) -> tuple[RuntimeRoute, ...]:
    """Return the routes of a loaded runtime that are served, in the order in which they are tried.

    `root_routes` is the setting of that name: the model of each path at the root. A route at the root that it does not
    give to this model is left out, and the log says so. Raises BadRoute, which says what to write.
    """
    declared = [*_declared(runtime)]
    if not declared and runtime.name not in root_routes.values():
        return ()
    routes: list[tuple[RoutePath, RuntimeRoute]] = []
    templates: dict[str, str] = {}
    methods: set[tuple[str, str]] = set()
    for method, template, name in declared:
        path = RoutePath(template)
        other = templates.setdefault(path.shape, template)
        if other != template:
            raise BadRoute(f"The routes {quoted(other)} and {quoted(template)} are one path; call its fields alike.")
        if (method, template) in methods:
            raise BadRoute(f"The route {method} {quoted(template)} is declared twice.")
        methods.add((method, template))
        routes.append((path, _route(runtime, method, path, name, execution, threads)))
    served = [
        (path, route) for path, route in routes if not path.at_root or root_routes.get(path.template) == runtime.name
    ]
    kept = {path.template for path, _ in served}
    _tell_of_left_out(runtime.name, [path.template for path, _ in routes if path.template not in kept], root_routes)
    _tell_of_missing(runtime.name, {path.template for path, _ in routes}, root_routes)
    return tuple(route for _, route in sorted(served, key=lambda each: each[0].order))


def with_routes(runtime: Runtime, routes: Sequence[RuntimeRoute]) -> dict[str, Any]:
    """Return the parameters of a model's metadata, with its routes among them; the runtime's own word wins."""
    place = f"/v2/models/{runtime.name}"
    rows = [
        {
            "method": route.described.method,
            "path": route.described.path_below(place),
            "streams": route.described.streams,
        }
        for route in routes
    ]
    return {"routes": rows, **runtime.parameters}


def _declared(runtime: Runtime) -> Iterator[tuple[str, str, str]]:
    """Yield what `routes` says, an attribute or a method. Raises BadRoute."""
    said = runtime.routes() if callable(runtime.routes) else runtime.routes
    if inspect.iscoroutine(said):
        said.close()
        raise BadRoute(f"{type(runtime).__name__}.routes is async; write it without async.")
    if not isinstance(said, list | tuple):
        raise BadRoute(f"{type(runtime).__name__}.routes is of type {type(said).__name__}. Write a list: {_EXAMPLE}.")
    for row in said:
        if not (isinstance(row, list | tuple) and len(row) == 3 and all(isinstance(word, str) for word in row)):
            raise BadRoute(f"{type(runtime).__name__}.routes has {quoted(repr(row))} in it. Write {_EXAMPLE}.")
        method, template, name = row
        yield method, template, name


def _route(
    runtime: Runtime, method: str, path: RoutePath, name: str, execution: Execution, threads: MethodThreads
) -> RuntimeRoute:
    kind, route = type(runtime).__name__, f"The route {method} {quoted(path.template)} of {type(runtime).__name__}"
    if method not in _METHODS:
        raise BadRoute(
            f"{route} has the method {quoted(method)}; it can be {listed(_METHODS)}. HEAD and OPTIONS are answered by srv."
        )
    call: Any = getattr(runtime, name, None)
    if not callable(call):
        known = [each for each in dir(runtime) if not each.startswith("_")]
        raise BadRoute(f"{route} names the method {quoted(name)}, which {kind} does not have.{nearest(name, known)}")
    if not takes(call, RouteRequest()):
        raise BadRoute(
            f"{route} cannot be called: write def {name}(self, request), which gets an srv.RouteRequest and nothing else."
        )
    if threads.own is not None and (inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call)):
        raise BadRoute(
            f"{kind} says same_thread, and its {name} is async, so it would run on the event loop, in another thread; write "
            f"{name} without async, or leave same_thread out."
        )
    streams = inspect.isgeneratorfunction(call) or inspect.isasyncgenfunction(call)
    told = inspect.getdoc(call) or ""
    described = ModelRoute(method, path.template, told.partition("\n")[0], told, streams)
    call = threads.bound_stream(call) if streams else threads.bound(call)
    return RuntimeRoute(described, path, call, execution, runtime.name)


def _tell_of_left_out(model: str, templates: list[str], root_routes: Mapping[str, str]) -> None:
    """Say in the log which paths at the root settings do not give to the model, in one line."""
    if not templates:
        return
    owners = {path: root_routes[path] for path in templates if path in root_routes}
    given = (
        f" It gives {listed(f'{path} to model {quoted(owner)}' for path, owner in owners.items())}." if owners else ""
    )
    log.info(
        "Model '%s' does not serve %s at the root, because the setting root_routes does not give that to it.%s "
        'To serve it there, write "root_routes": {"%s": "%s"} into settings.json.',
        model, listed(templates), given, templates[0], model,
    )  # fmt: skip


def _tell_of_missing(model: str, templates: set[str], root_routes: Mapping[str, str]) -> None:
    """Say in the log which paths settings give to a model that has no route there."""
    missing = [path for path, owner in root_routes.items() if owner == model and path not in templates]
    if missing:
        log.warning(
            "The setting root_routes gives %s to model '%s', which has no such route; it has %s.",
            listed(missing), model, listed(templates),
        )  # fmt: skip
