"""The one typed caller of each hook."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from srv.discovery.plugin import Kind, Plugin, State
from srv.discovery.plugins import Plugins, failure
from srv.errors import SrvError
from srv.hooks.errors import PlanFailed, UnknownHook
from srv.hooks.reading import ARGUMENTS, Implementation
from srv.hooks.registering import Registration, Sections
from srv.hooks.tracing import Trace
from srv.hookspecs import Model, Server, Timings
from srv.messages import InferenceRequest, InferenceResponse
from srv.settings import ServerSettings

if TYPE_CHECKING:
    from srv.images import Builder, ImagePlan

log = logging.getLogger("srv.plugins")

BeforeInfer = Callable[[Model, InferenceRequest], InferenceRequest | InferenceResponse | None]
AfterInfer = Callable[[Model, InferenceRequest, InferenceResponse | None, Exception | None, Timings], None]


class Hooks:
    """The hooks of one worker. Nothing in it is global: each `start` makes a plugin manager of its own."""

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

        `server` is what they may rest on of the settings; the defaults where there is no server to be.
        One that fails is quarantined and told in the log; with `strict`, PluginsNotWhole is raised instead. `before`
        is called before each module is touched, for those who watch.
        """
        registration = Registration(plugins, sections, Trace(trace), server or ServerSettings(folder=Path()))
        registration.enter_all(before)
        if strict:
            plugins.check_strict()
        return cls(plugins, registration)

    def order(self, hook: str) -> list[Plugin]:
        """The plugins that implement a hook, in the order in which they are called. Raises UnknownHook."""
        if hook not in ARGUMENTS:
            raise UnknownHook(hook, ARGUMENTS)
        return [module.plugin for module in self._registration.order(hook)]

    def http_middleware(self) -> list[object]:
        """The Falcon middleware that plugins brought, in their order."""
        return [one for module in self._registration.order("srv_http_middleware") for one in module.middleware]

    def http_routes(self) -> list[tuple[str, object]]:
        """The routes that plugins brought, without those that two of them contest or that are srv's own.

        These are told in the log.
        """
        routes = [row for row in self.plugins.rows if row.kind is Kind.ROUTE]
        for row in routes:
            if row.state is State.REFUSED or (row.usable and not self.plugins.has_name(row)):
                log.warning("The route %s of %s is not served: %s.", row.name, row.distribution, row.reason)
        return [(row.name, self.plugins.load_row(row)) for row in routes if row.usable and self.plugins.has_name(row)]

    def route_failed(self, path: str, error: Exception) -> None:
        """Take out of use a plugin's route that the face does not take."""
        self.plugins.quarantine(self.plugins.find(Kind.ROUTE, path), failure(error).rstrip("."), error)

    def grpc_interceptors(self) -> list[object]:
        """The gRPC interceptors that plugins brought, in their order."""
        return [one for module in self._registration.order("srv_grpc_interceptors") for one in module.interceptors]

    def image_plan(self, plan: ImagePlan) -> None:
        """Let the plugins change the plan of an image, one after the other. Raises PlanFailed where one fails at it."""
        for implementation in self._registration.implementations("srv_image_plan"):
            try:
                implementation(plan=plan)
            except SrvError:
                raise
            except (Exception, SystemExit) as error:
                raise PlanFailed(str(implementation.plugin), error) from error

    def builders(self) -> dict[str, Builder]:
        """The builders that plugins bring, by the names that work for them. Ask once."""
        self._registration.ask_builders()
        builders = {}
        for name in self.plugins.names(Kind.BUILDER):
            made: Any = self.plugins.load(Kind.BUILDER, name)
            builders[name] = made()
        return builders

    def worker_started(self, server: Server) -> None:
        """Tell the plugins that this worker is about to serve."""
        for implementation in self._registration.implementations("srv_worker_started"):
            _tell(implementation, settings=self._registration.settings_of(implementation.plugin), server=server)

    def model_loaded(self, model: Model, seconds: float) -> None:
        """Tell the plugins that a version of a model serves."""
        self._tell_all("srv_model_loaded", model=model, seconds=seconds)

    def model_failed(self, model: Model, reason: str) -> None:
        """Tell the plugins that a version of a model could not be loaded."""
        self._tell_all("srv_model_failed", model=model, reason=reason)

    def model_unloaded(self, model: Model) -> None:
        """Tell the plugins that a version of a model serves no longer."""
        self._tell_all("srv_model_unloaded", model=model)

    def worker_stopping(self) -> None:
        """Tell the plugins that this worker has answered its last request."""
        self._tell_all("srv_worker_stopping")

    def _tell_all(self, hook: str, **given: Any) -> None:
        for implementation in self._registration.implementations(hook):
            _tell(implementation, **given)

    def _flat(self, hook: str) -> tuple[tuple[str, Any], ...]:
        return tuple((each.plugin.name, each.positional()) for each in self._registration.implementations(hook))


def _tell(implementation: Implementation, **given: Any) -> None:
    """Call one implementation whose failure is its own affair."""
    try:
        implementation(**given)
    except (Exception, SystemExit):
        log.exception("%s failed in the %s; srv goes on.", implementation.hook, implementation.plugin)
