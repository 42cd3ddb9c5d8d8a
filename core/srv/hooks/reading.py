"""Which hooks a module implements, checked one by one before anything is registered."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import FunctionType, MappingProxyType
from typing import Any

import msgspec
import pluggy

from srv import hookspecs
from srv.discovery.plugin import Plugin
from srv.hooks.errors import UnknownArgument, UnknownHook, UnmarkedHook, WrongForm


class Implementation(msgspec.Struct, frozen=True):
    """One plugin's function for one hook, and which of the hook's arguments it wants."""

    plugin: Plugin
    hook: str
    function: Callable[..., Any]
    arguments: tuple[str, ...]

    def __call__(self, **given: Any) -> Any:
        """Call the function with those of the hook's arguments that it wants."""
        return self.function(**{name: given[name] for name in self.arguments})

    def positional(self) -> Callable[..., Any]:
        """A plain function that takes all of the hook's arguments by position."""
        if self.arguments == ARGUMENTS[self.hook]:
            return self.function
        function = self.function
        wanted = [(name, ARGUMENTS[self.hook].index(name)) for name in self.arguments]
        return lambda *given: function(**{name: given[place] for name, place in wanted})


def manager() -> pluggy.PluginManager:
    """A plugin manager that knows srv's hooks and nobody else."""
    made = pluggy.PluginManager("srv")
    made.add_hookspecs(hookspecs)
    return made


#: Each hook's arguments, in call order.
ARGUMENTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        name: tuple(inspect.signature(spec).parameters)
        for name, spec in vars(hookspecs).items()
        if name.startswith("srv_") and isinstance(spec, FunctionType)
    }
)


def implementations(plugin: Plugin, module: object, plugins: pluggy.PluginManager) -> dict[str, Implementation]:
    """The hooks that a module implements, by name. Raises a BadHooks for what srv would not call, or not so."""
    found: dict[str, Implementation] = {}
    for name in dir(module):
        options = plugins.parse_hookimpl_opts(module, name)
        if options is None:
            _check_unmarked(module, name)
            continue
        hook = options.get("specname") or name
        if hook not in ARGUMENTS:
            if options.get("optionalhook"):
                continue
            raise UnknownHook(hook, ARGUMENTS)
        if options.get("wrapper") or options.get("hookwrapper"):
            raise WrongForm(name, "a wrapper")
        function = getattr(module, name)
        found[hook] = Implementation(plugin, hook, function, _arguments(name, hook, function))
    return found


def _check_unmarked(module: object, name: str) -> None:
    """Find the function that was meant as a hook, in the module that defines it."""
    if name not in ARGUMENTS:
        return
    value = getattr(module, name)
    if inspect.isroutine(value) and getattr(value, "__module__", None) == getattr(module, "__name__", None):
        raise UnmarkedHook(name)


def _arguments(name: str, hook: str, function: Callable[..., Any]) -> tuple[str, ...]:
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise WrongForm(name, "async")
    if inspect.isgeneratorfunction(function):
        raise WrongForm(name, "a generator")
    known = ARGUMENTS[hook]
    wanted = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise WrongForm(name, "one with positional-only arguments")
        if parameter.name in known:
            wanted.append(parameter.name)
        elif parameter.default is parameter.empty:
            raise UnknownArgument(name, parameter.name, known)
    return tuple(wanted)
