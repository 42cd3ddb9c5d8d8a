"""The callers of the hooks: each hook is called in one place, with types."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from srv.discovery.plugin import Plugin, PluginKind, PluginState
from srv.discovery.plugins import Plugins, failure
from srv.errors import PluginFailed, SrvError, is_from_signal
from srv.hooks.errors import PlanFailed, UnknownHook
from srv.hooks.implementations import ARGUMENTS, Implementation
from srv.hooks.registration import Registration, Sections, server_of
from srv.hooks.tracing import Trace
from srv.hookspecs import Model, Server, StreamSummary, Timings
from srv.messages import InferenceRequest, InferenceResponse
from srv.server import not_running
from srv.settings import ServerSettings

if TYPE_CHECKING:
    from srv.hooks.storages import PluginsFetch
    from srv.images import Builder, ImagePlan
    from srv.model_settings import ModelSettings
    from srv.placement import Placement
    from srv.runtime import Runtime

log = logging.getLogger("srv.plugins")

#: The end of the log line for a failed hook whose result srv does not use.
_GOES_ON = "srv goes on"

BeforeInfer = Callable[[Model, InferenceRequest], InferenceRequest | InferenceResponse | None]
AfterInfer = Callable[
    [Model, InferenceRequest, InferenceResponse | None, Exception | None, Timings, StreamSummary | None], None
]


class Hooks:
    """The hooks of one worker. Nothing is global: each `start` makes a plugin manager of its own."""

    def __init__(self, plugins: Plugins, registration: Registration) -> None:
        self.plugins = plugins
        self._registration = registration
        #: The request hooks as (plugin's name, function), because a call through pluggy costs microseconds.
        self.before_infer: tuple[tuple[str, BeforeInfer], ...] = self._flat("srv_before_infer")
        self.after_infer: tuple[tuple[str, AfterInfer], ...] = self._flat("srv_after_infer")

    @classmethod
    def start(
        cls,
        plugins: Plugins,
        *,
        sections: Sections = MappingProxyType({}),
        server: Server | None = None,
        strict: bool = False,
        trace: bool = False,
        before: Callable[[Plugin], None] | None = None,
    ) -> Hooks:
        """Import and register the hook modules, and add what they compute to the plugins.

        `server` is what they may keep and ask later; where no server will run, its settings are the defaults.
        One that fails is quarantined and told in the log; with `strict`, PluginsNotWhole is raised instead. `before`
        is called before each module is touched, for those who watch.
        """
        registration = Registration(
            plugins, sections, Trace(trace), server or not_running(ServerSettings(folder=Path()))
        )
        registration.enter_all(before)
        if strict:
            plugins.check_strict()
        return cls(plugins, registration)

    def order(self, hook: str) -> list[Plugin]:
        """Return the plugins that implement a hook, in the order in which they are called. Raises UnknownHook."""
        if hook not in ARGUMENTS:
            raise UnknownHook(hook, ARGUMENTS)
        return [module.plugin for module in self._registration.order(hook)]

    def http_middleware(self) -> list[object]:
        """Return the Falcon middleware of all plugins, in the order of the plugins."""
        return [one for module in self._registration.order("srv_http_middleware") for one in module.middleware]

    def http_routes(self) -> list[tuple[str, object]]:
        """Return the routes of all plugins, without those that two plugins contest or that are srv's own.

        These are told in the log.
        """
        routes = [row for row in self.plugins.rows if row.kind is PluginKind.ROUTE]
        for row in routes:
            if row.state is PluginState.REFUSED or (row.usable and not self.plugins.has_name(row)):
                log.warning("The route %s of %s is not served: %s.", row.name, row.distribution, row.reason)
        return [(row.name, self.plugins.load_row(row)) for row in routes if row.usable and self.plugins.has_name(row)]

    def route_failed(self, path: str, error: Exception) -> None:
        """Quarantine a plugin's route that Falcon refuses."""
        self.plugins.quarantine(self.plugins.find(PluginKind.ROUTE, path), failure(error).rstrip("."), error)

    def grpc_interceptors(self) -> list[object]:
        """Return the gRPC interceptors of all plugins, in the order of the plugins."""
        return [one for module in self._registration.order("srv_grpc_interceptors") for one in module.interceptors]

    def owner_of(self, brought: object) -> str:
        """Return the name of the plugin that brought a middleware, an interceptor or a route's resource."""
        for row in self.plugins.rows:
            if row.kind is PluginKind.ROUTE and row.loaded is brought:
                return row.computed_by.name if row.computed_by is not None else row.name
        for module in self._registration.modules():
            if any(one is brought for one in (*module.middleware, *module.interceptors)):
                return module.plugin.name
        return "unknown"

    def image_plan(self, plan: ImagePlan) -> None:
        """Let each plugin change the plan of an image, one after the other. Raises PlanFailed if one fails."""
        for implementation in self._registration.implementations("srv_image_plan"):
            try:
                implementation(plan=plan)
            except SrvError:
                raise
            except (Exception, SystemExit) as error:
                raise PlanFailed(str(implementation.plugin), error) from error

    def builders(self) -> dict[str, Builder]:
        """Return the builders of all plugins, by the names that work for them. To be called once."""
        from srv.hooks.builders import NamedBuilder  # it imports numpy, and only `srv build` asks for builders

        self._registration.ask_builders()
        builders: dict[str, Builder] = {}
        for name in self.plugins.names(PluginKind.BUILDER):
            row = self.plugins.find(PluginKind.BUILDER, name)
            made: Any = self.plugins.load_row(row)
            builders[name] = made() if row.ours else NamedBuilder(row, made)
        return builders

    def storage(self, uri: str) -> PluginsFetch:
        """Return what fetches a URI, and the plugin that brought it. Raises what fetch_of raises."""
        from srv.hooks.storages import fetch_of  # here, because most servers have all their files

        return fetch_of(uri, self._registration, self.plugins)

    def adopt(self, cls: type, model_settings: ModelSettings) -> type[Runtime] | None:
        """Return the runtime that a plugin makes of a foreign class, or None. Raises what adopted raises."""
        from srv.hooks.adoptions import adopted  # here, because most servers have runtimes only

        return adopted(cls, model_settings, self._registration, self.plugins)

    def placement(self, model: Model, number: int) -> Placement | None:
        """Return where a model's process runs, as the first plugin says that says something; None where none does.

        Raises BadPlacement for an answer that places no process, and PluginFailed for a plugin that fails.
        """
        from srv.hooks.placements import chosen_placement  # here, because most models have no process

        return chosen_placement(model, number, self._registration)

    def worker_started(self, server: Server) -> None:
        """Call `srv_worker_started` of all plugins; quarantine a required one that fails."""
        for implementation in self._registration.implementations("srv_worker_started"):
            row = implementation.plugin
            settings = self._registration.settings_of(row)
            consequence = "srv does not serve without it" if row.required else _GOES_ON
            error = _tell(implementation, consequence, settings=settings, server=server_of(server, row))
            if error is not None and row.required:
                self.plugins.quarantine(row, f"srv_worker_started raised {failure(error)}")

    def openapi(self, document: dict[str, Any], server: Server) -> None:
        """Let each plugin change an OpenAPI document, one after the other. Raises PluginFailed if one fails."""
        for implementation in self._registration.implementations("srv_openapi"):
            row = implementation.plugin
            settings = self._registration.settings_of(row)
            try:
                implementation(document=document, settings=settings, server=server_of(server, row))
            except SrvError:
                raise
            except (Exception, SystemExit) as error:
                log.exception("Plugin '%s' raised in srv_openapi.", row.name)
                raise PluginFailed(row.name, "srv_openapi", error) from error

    def model_loaded(self, model: Model, seconds: float) -> None:
        """Tell the plugins that a version of a model serves."""
        self._tell_all("srv_model_loaded", model=model, seconds=seconds)

    def model_reloaded(self, model: Model, previous: Model, seconds: float) -> None:
        """Tell the plugins that a version of a model serves in place of a previous one."""
        self._tell_all("srv_model_reloaded", model=model, previous=previous, seconds=seconds)

    def model_failed(self, model: Model, reason: str) -> None:
        """Tell the plugins that a version of a model could not be loaded."""
        self._tell_all("srv_model_failed", model=model, reason=reason)

    def model_unloaded(self, model: Model) -> None:
        """Tell the plugins that a version of a model serves no longer."""
        self._tell_all("srv_model_unloaded", model=model)

    def worker_stopping(self) -> None:
        """Tell the plugins that this worker has answered its last request, and stops."""
        self._tell_all("srv_worker_stopping")

    def _tell_all(self, hook: str, **given: Any) -> None:
        for implementation in self._registration.implementations(hook):
            _tell(implementation, _GOES_ON, **given)

    def _flat(self, hook: str) -> tuple[tuple[str, Any], ...]:
        return tuple((each.plugin.name, each.positional()) for each in self._registration.implementations(hook))


def _tell(implementation: Implementation, consequence: str, **given: Any) -> BaseException | None:
    """Call one implementation; log its error and the consequence, and return the error."""
    try:
        implementation(**given)
    except BaseException as error:
        if is_from_signal(error):
            raise
        log.exception("%s failed in the %s; %s.", implementation.hook, implementation.plugin, consequence)
        return error
    return None
