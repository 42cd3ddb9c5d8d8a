"""Registers hook modules one by one: whole, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
import pluggy

from srv.discovery.errors import PluginBroken, PluginError
from srv.discovery.kinds import wrong
from srv.discovery.plugin import Kind, Plugin
from srv.discovery.plugins import Plugins, failure
from srv.hooks.errors import BadHooks, BroughtTwice, RegisteredTwice, WrongAnswer
from srv.hooks.reading import ARGUMENTS, Implementation, implementations, manager
from srv.hooks.schema import SCHEMA_HOOK, read_section
from srv.hooks.tracing import Trace
from srv.hookspecs import Server

Sections = Mapping[str, Mapping[str, Any]]

#: What a hook module sets to True if it shall do nothing until settings.json has a section of its name.
NEEDS_SETTINGS = "srv_needs_settings"


class Module(msgspec.Struct):
    """A hook module that was imported, checked, and asked what it brings."""

    plugin: Plugin
    module: object
    hooks: dict[str, Implementation]
    settings: Mapping[str, Any] = msgspec.field(default_factory=dict)
    middleware: tuple[object, ...] = ()
    interceptors: tuple[object, ...] = ()
    #: Whether its hooks are called; not where it waits for settings and has none.
    on: bool = True


class Registration:
    """Hook modules in a plugin manager of their own; one that fails is quarantined, with all that it brought."""

    def __init__(self, plugins: Plugins, sections: Sections, trace: Trace, server: Server) -> None:
        self._plugins = plugins
        self._sections = sections
        self._trace = trace
        self._server = server
        self._manager = manager()
        self._modules: dict[int, Module] = {}

    def enter_all(self, before: Callable[[Plugin], None] | None = None) -> None:
        """Import, check, ask and register every usable hook module, telling `before` of each."""
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
        """Let those who bring builders bring them; one that fails at it is quarantined."""
        for module in self.order("srv_builders"):
            try:
                self._add(module, "srv_builders", Kind.BUILDER)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - as where it was registered
                self._failed(module.plugin, "srv_builders", error)

    def order(self, hook: str) -> list[Module]:
        """The modules that implement a hook and are on, in the order in which they are called."""
        called: Iterable[pluggy.HookImpl] = reversed(getattr(self._manager.hook, hook).get_hookimpls())
        modules = (self._modules[id(each.plugin)] for each in called)
        return [module for module in modules if module.on]

    def implementations(self, hook: str) -> list[Implementation]:
        """A hook's implementations in the order in which they are called, traced where tracing is on."""
        return self._trace.of([module.hooks[hook] for module in self.order(hook)])

    def settings_of(self, plugin: Plugin) -> Mapping[str, Any]:
        """The plugin's own settings, as its schema loaded them."""
        return next(module.settings for module in self._modules.values() if module.plugin is plugin)

    def _ready(self, plugin: Plugin, others: list[Module]) -> Module | None:
        """The module with everything that it brings, or None where that failed at any point."""
        step = "its registration"
        try:
            loaded = self._plugins.load_row(plugin)
            _check_new(loaded, others)
            self._plugins.take_back(plugin)  # what it computed when these plugins were registered before
            hooks = implementations(plugin, loaded, self._manager)
            module = Module(plugin, loaded, hooks, on=self._is_on(plugin, loaded))
            for step, ask in _STEPS.items():
                if module.on and (step in hooks or step == SCHEMA_HOOK):
                    ask(self, module)
        except PluginBroken:
            return None
        except KeyboardInterrupt:
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
        return self._trace.of([module.hooks[hook]])[0](settings=module.settings, server=self._server)

    def _ask_settings(self, module: Module) -> None:
        section = self._section_of(module.plugin)
        implementation = module.hooks.get(SCHEMA_HOOK)
        module.settings = read_section(section, self._sections.get(section), implementation)

    def _is_on(self, plugin: Plugin, loaded: object) -> bool:
        """Whether the plugin runs: one that is off until it is configured needs a section of its name."""
        return not getattr(loaded, NEEDS_SETTINGS, False) or self._section_of(plugin) in self._sections

    def _section_of(self, plugin: Plugin) -> str:
        """`distribution:name` where the settings say that or the plain name is not the plugin's, else the plain name."""
        plain = self._plugins.has_name(plugin) and plugin.qualified not in self._sections
        return plugin.name if plain else plugin.qualified

    def _ask_runtimes(self, module: Module) -> None:
        self._add(module, "srv_runtimes", Kind.RUNTIME)

    def _ask_codecs(self, module: Module) -> None:
        self._add(module, "srv_codecs", Kind.CODEC)

    def _ask_middleware(self, module: Module) -> None:
        module.middleware = tuple(self._call(module, "srv_http_middleware") or ())

    def _ask_interceptors(self, module: Module) -> None:
        brought = tuple(self._call(module, "srv_grpc_interceptors") or ())
        if not all(callable(getattr(one, "intercept_service", None)) for one in brought):
            raise WrongAnswer("srv_grpc_interceptors", brought, "interceptors with a method intercept_service")
        module.interceptors = brought

    def _ask_routes(self, module: Module) -> None:
        brought = self._call(module, "srv_http_routes") or ()
        if not all(isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str) for pair in brought):
            raise WrongAnswer("srv_http_routes", brought, "pairs of a path and a resource")
        if not all(path.startswith("/") for path, _ in brought):
            raise WrongAnswer("srv_http_routes", brought, "paths that start with /")
        self._add_rows(module, "srv_http_routes", Kind.ROUTE, brought)

    def _add(self, module: Module, hook: str, kind: Kind) -> None:
        brought = self._call(module, hook) or {}
        if not isinstance(brought, Mapping):
            raise WrongAnswer(hook, brought, "a mapping of names to classes")
        self._add_rows(module, hook, kind, brought.items())

    def _add_rows(self, module: Module, hook: str, kind: Kind, brought: Iterable[tuple[str, object]]) -> None:
        """Check what a hook computed and let it compete for its names as any entry point does."""
        rows: dict[str, Plugin] = {}
        for name, value in brought:
            fault = wrong(kind, name, value)
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


def _check_new(loaded: object, others: list[Module]) -> None:
    for other in others:
        if other.module is loaded:
            raise RegisteredTwice(other.plugin.qualified)


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
