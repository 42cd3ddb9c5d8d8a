"""Registration of hook modules, one by one: each is registered whole or not at all."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
import pluggy

from srv.discovery.errors import PluginBroken, PluginError
from srv.discovery.kind_checks import fault_of
from srv.discovery.plugin import Plugin, PluginKind
from srv.discovery.plugins import Plugins, failure
from srv.errors import Stopped
from srv.hooks.errors import BadHooks, BroughtTwice, NeverAwaited, RegisteredTwice, SectionNeeded, WrongAnswer
from srv.hooks.implementations import ARGUMENTS, Implementation, implementations, manager
from srv.hooks.plugin_sections import SCHEMA_HOOK, read_section
from srv.hooks.tracing import Trace
from srv.hookspecs import Server

log = logging.getLogger("srv.plugins")

Sections = Mapping[str, Mapping[str, Any]]

#: What a hook module sets to True if it shall do nothing until settings.json has a section of its name.
NEEDS_SETTINGS = "srv_needs_settings"


class Module(msgspec.Struct):
    """A hook module that was imported and checked, with what it brings."""

    plugin: Plugin
    module: object
    hooks: dict[str, Implementation]
    settings: Mapping[str, Any] = msgspec.field(default_factory=dict)
    middleware: tuple[object, ...] = ()
    interceptors: tuple[object, ...] = ()
    #: Whether its hooks are called; not where it waits for settings and has none.
    on: bool = True


class Registration:
    """Hook modules in a plugin manager of their own; one that fails is quarantined with all that it brought."""

    def __init__(self, plugins: Plugins, sections: Sections, trace: Trace, server: Server) -> None:
        self._plugins = plugins
        self._sections = sections
        plugins.require(sections)
        self._trace = trace
        self._server = server
        self._manager = manager()
        self._modules: dict[int, Module] = {}

    def enter_all(self, before: Callable[[Plugin], None] | None = None) -> None:
        """Import, check and register every usable hook module; `before` is called with each."""
        modules: list[Module] = []
        for plugin in self._plugins.hook_modules():
            if before is not None:
                before(plugin)
            module = self._ready(plugin, modules)
            if module is not None:
                modules.append(module)
        # In reverse, because pluggy calls the last registered first.
        for module in reversed(modules):
            self._enter(module)

    def ask_builders(self) -> None:
        """Register the builders of all plugins; a plugin that fails at it is quarantined."""
        for module in self.order("srv_builders"):
            try:
                self._add(module, "srv_builders", PluginKind.BUILDER)
            except (KeyboardInterrupt, Stopped):
                raise
            except BaseException as error:  # noqa: BLE001 - as where it was registered
                self._failed(module.plugin, "srv_builders", error)

    def order(self, hook: str) -> list[Module]:
        """Return the modules that implement a hook and are on, in the order in which they are called."""
        called: Iterable[pluggy.HookImpl] = reversed(getattr(self._manager.hook, hook).get_hookimpls())
        modules = (self._modules[id(each.plugin)] for each in called)
        return [module for module in modules if module.on and hook in module.hooks]

    def modules(self) -> Iterable[Module]:
        """Every module that is registered."""
        return self._modules.values()

    def implementations(self, hook: str) -> list[Implementation]:
        """Return a hook's implementations in the order in which they are called, traced if tracing is on."""
        return self._trace.of([module.hooks[hook] for module in self.order(hook)])

    def settings_of(self, plugin: Plugin) -> Mapping[str, Any]:
        """Return the plugin's own settings, as its schema loaded them."""
        return next(module.settings for module in self._modules.values() if module.plugin is plugin)

    def _ready(self, plugin: Plugin, others: list[Module]) -> Module | None:
        """Return the module with everything that it brings, or None if that failed at any point."""
        step = "its registration"
        try:
            loaded = self._plugins.load_row(plugin)
            _check_new(loaded, others)
            self._plugins.take_back(plugin)  # what it computed when these plugins were registered before
            hooks = implementations(plugin, loaded, self._manager)
            _warn_of_deprecations(plugin, hooks.values())
            module = Module(plugin, loaded, hooks, on=self._is_on(plugin, loaded))
            for step, ask in _STEPS.items():
                if module.on and (step in hooks or step == SCHEMA_HOOK):
                    ask(self, module)
        except PluginBroken:
            return None
        except (KeyboardInterrupt, Stopped):
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a plugin raises, even SystemExit, the host lives on
            self._failed(plugin, step, error)
            return None
        return module

    def _failed(self, plugin: Plugin, step: str, error: BaseException) -> None:
        if isinstance(error, (BadHooks, PluginError)):
            self._plugins.quarantine(plugin, str(error).rstrip("."))
        else:
            self._plugins.quarantine(plugin, f"{step} raised {failure(error)}", error)

    def _enter(self, module: Module) -> None:
        try:
            self._manager.register(module.module, name=module.plugin.qualified)
        except (pluggy.PluginValidationError, ValueError) as error:
            self._plugins.quarantine(module.plugin, failure(error), error)
            return
        self._modules[id(module.module)] = module

    def _call(self, module: Module, hook: str) -> Any:
        return self._trace.of([module.hooks[hook]])[0](
            settings=module.settings, server=server_of(self._server, module.plugin)
        )

    def _ask_settings(self, module: Module) -> None:
        section = self._section_of(module.plugin)
        implementation = module.hooks.get(SCHEMA_HOOK)
        module.settings = read_section(section, self._sections.get(section), implementation)

    def _is_on(self, plugin: Plugin, loaded: object) -> bool:
        """Whether the plugin runs: one that is off until it is configured needs a section of its name."""
        on = not getattr(loaded, NEEDS_SETTINGS, False) or self._section_of(plugin) in self._sections
        if not on and plugin.required:
            raise SectionNeeded(self._section_of(plugin))
        return on

    def _section_of(self, plugin: Plugin) -> str:
        """Return the name of the plugin's section: plain if the name is its own, else `distribution:name`."""
        plain = self._plugins.has_name(plugin) and plugin.qualified not in self._sections
        return plugin.name if plain else plugin.qualified

    def _ask_runtimes(self, module: Module) -> None:
        self._add(module, "srv_runtimes", PluginKind.RUNTIME)

    def _ask_codecs(self, module: Module) -> None:
        self._add(module, "srv_codecs", PluginKind.CODEC)

    def _ask_middleware(self, module: Module) -> None:
        brought = tuple(self._call(module, "srv_http_middleware") or ())
        for layer in brought:
            _check_middleware(layer)
        module.middleware = brought

    def _ask_interceptors(self, module: Module) -> None:
        brought = tuple(self._call(module, "srv_grpc_interceptors") or ())
        for one in brought:
            _check_interceptor(one)
        module.interceptors = brought

    def _ask_routes(self, module: Module) -> None:
        brought = self._call(module, "srv_http_routes") or ()
        if not all(isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str) for pair in brought):
            raise WrongAnswer("srv_http_routes", brought, "pairs of a path and a resource")
        if not all(path.startswith("/") for path, _ in brought):
            raise WrongAnswer("srv_http_routes", brought, "paths that start with /")
        self._add_rows(module, "srv_http_routes", PluginKind.ROUTE, brought)

    def _add(self, module: Module, hook: str, kind: PluginKind) -> None:
        brought = self._call(module, hook) or {}
        if not isinstance(brought, Mapping):
            raise WrongAnswer(hook, brought, "a mapping of names to classes")
        self._add_rows(module, hook, kind, brought.items())

    def _add_rows(self, module: Module, hook: str, kind: PluginKind, brought: Iterable[tuple[str, object]]) -> None:
        """Check what a hook computed, and let it compete for names by the rules for entry points."""
        rows: dict[str, Plugin] = {}
        for name, value in brought:
            fault = fault_of(kind, name, value)
            if fault:
                raise BadHooks(f"'{hook}' brings '{name}', but {fault}")
            if name in rows or self._plugins.brings(module.plugin.distribution, kind, name):
                raise BroughtTwice(hook, name, module.plugin.distribution)
            rows[name] = Plugin(
                kind=kind,
                name=name,
                distribution=module.plugin.distribution,
                version=module.plugin.version,
                entry_point=f"{module.plugin.entry_point}:{hook}",
                ours=module.plugin.ours,
                computed_by=module.plugin,
                loaded=value,
            )
        self._plugins.add_computed(rows.values())


def server_of(server: Server, plugin: Plugin) -> Server:
    """Return the server as a plugin has it; a server that does not run is the same for all."""
    of_plugin: Callable[[str], Server] | None = getattr(server, "of_plugin", None)
    return server if of_plugin is None else of_plugin(plugin.name)


def _warn_of_deprecations(plugin: Plugin, hooks: Iterable[Implementation]) -> None:
    """Log, and note in the plugin's row, which hooks and arguments it uses that will be removed."""
    plugin.deprecations = tuple(entry.warning() for each in hooks for entry in each.deprecations)
    for warning in plugin.deprecations:
        log.warning("The %s will fail: %s.", plugin, warning)


def _check_middleware(layer: object) -> None:
    """Raise BadHooks for middleware that Falcon would not call, or whose methods it would not await."""
    names = [name for name in _OF_MIDDLEWARE if callable(getattr(layer, name, None))]
    if not names or isinstance(layer, type):
        raise WrongAnswer("srv_http_middleware", layer, f"an object with a method {' or '.join(_OF_MIDDLEWARE)}")
    for name in names:
        _check_sync(layer, name)


def _check_interceptor(interceptor: object) -> None:
    """Raise BadHooks for an interceptor that grpcio would not call, or whose method it would not await."""
    if isinstance(interceptor, type) or not callable(getattr(interceptor, "intercept_service", None)):
        raise WrongAnswer("srv_grpc_interceptors", interceptor, "an object with a method intercept_service")
    _check_sync(interceptor, "intercept_service")


def _check_sync(owner: object, method: str) -> None:
    if inspect.iscoroutinefunction(getattr(owner, method)):
        raise NeverAwaited(owner, method)


def _check_new(loaded: object, others: list[Module]) -> None:
    for other in others:
        if other.module is loaded:
            raise RegisteredTwice(other.plugin.qualified)


_OF_MIDDLEWARE = ("process_request", "process_resource", "process_response")

#: What a module is asked while it is being registered, in the order of the manual.
_STEPS: Mapping[str, Callable[[Registration, Module], None]] = {
    SCHEMA_HOOK: Registration._ask_settings,
    "srv_runtimes": Registration._ask_runtimes,
    "srv_codecs": Registration._ask_codecs,
    "srv_http_middleware": Registration._ask_middleware,
    "srv_http_routes": Registration._ask_routes,
    "srv_grpc_interceptors": Registration._ask_interceptors,
}

assert set(_STEPS) <= set(ARGUMENTS)
