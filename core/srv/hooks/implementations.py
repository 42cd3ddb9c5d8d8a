"""Implementations of hooks in a module, checked one by one before anything is registered."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import FunctionType, MappingProxyType
from typing import Any

import msgspec
import pluggy

from srv import hookspecs
from srv.discovery.plugin import Plugin
from srv.hooks.deprecations import Deprecation, check, deprecation_of
from srv.hooks.errors import UnknownArgument, UnknownHook, UnmarkedHook, WrongForm


class Implementation(msgspec.Struct, frozen=True):
    """One plugin's function for one hook, and the hook's arguments that it takes."""

    plugin: Plugin
    hook: str
    function: Callable[..., Any]
    arguments: tuple[str, ...]
    #: What of the hook, or of the arguments, goes in a version to come.
    deprecations: tuple[Deprecation, ...] = ()

    def __call__(self, **given: Any) -> Any:
        """Call the function with those of the hook's arguments that it takes."""
        return self.function(**{name: given[name] for name in self.arguments})

    def positional(self) -> Callable[..., Any]:
        """Return a plain function that takes all of the hook's arguments by position.

        It passes them on by position where the implementation takes the first of them in the hook's order, because that
        is quicker, and by name else.
        """
        function, known = self.function, ARGUMENTS[self.hook]
        count = len(self.arguments)
        if self.arguments == known[:count] == _by_position(function)[:count]:
            return function if count == len(known) else lambda *given: function(*given[:count])
        wanted = [(name, known.index(name)) for name in self.arguments]
        return lambda *given: function(**{name: given[place] for name, place in wanted})


def manager() -> pluggy.PluginManager:
    """Make a plugin manager that knows srv's hooks and no others."""
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
    """Return the hooks that a module implements, by name. Raises a BadHooks for what srv could not call as written."""
    found: dict[str, Implementation] = {}
    for name in dir(module):
        options = plugins.parse_hookimpl_opts(module, name)
        if options is None:
            _check_unmarked(module, name)
            continue
        hook = options.get("specname") or name
        optional = bool(options.get("optionalhook"))
        if optional and not _is_known(hook):
            continue
        deprecations = () if optional else check(hook)
        if hook not in ARGUMENTS:
            raise UnknownHook(hook, ARGUMENTS)
        if options.get("wrapper") or options.get("hookwrapper"):
            raise WrongForm(name, "a wrapper")
        function = getattr(module, name)
        arguments, of_arguments = _arguments(name, hook, function)
        found[hook] = Implementation(plugin, hook, function, arguments, deprecations + of_arguments)
    return found


def _by_position(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of the arguments that a function takes by position."""
    parameters = inspect.signature(function).parameters.values()
    return tuple(each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD)


def _is_known(hook: str, argument: str | None = None) -> bool:
    """Whether srv calls a hook of that name, and with that argument."""
    gone = deprecation_of(hook, argument)
    there = hook in ARGUMENTS and (argument is None or argument in ARGUMENTS[hook])
    return there and not (gone is not None and gone.is_refused())


def _check_unmarked(module: object, name: str) -> None:
    """Raise UnmarkedHook for a function with a hook's name in the module that defines it."""
    if name not in ARGUMENTS:
        return
    value = getattr(module, name)
    if inspect.isroutine(value) and getattr(value, "__module__", None) == getattr(module, "__name__", None):
        raise UnmarkedHook(name)


def _arguments(name: str, hook: str, function: Callable[..., Any]) -> tuple[tuple[str, ...], tuple[Deprecation, ...]]:
    """Return the hook's arguments that a function takes, and the deprecations to warn of.

    An argument with a default may be one that this version does not have, or has no longer.
    """
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise WrongForm(name, "async")
    if inspect.isgeneratorfunction(function):
        raise WrongForm(name, "a generator")
    known = ARGUMENTS[hook]
    wanted: list[str] = []
    deprecations: tuple[Deprecation, ...] = ()
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise WrongForm(name, "one with positional-only arguments")
        if parameter.default is parameter.empty:
            deprecations += check(hook, parameter.name)
            if parameter.name not in known:
                raise UnknownArgument(name, parameter.name, known)
            wanted.append(parameter.name)
        elif _is_known(hook, parameter.name):
            wanted.append(parameter.name)
    return tuple(wanted), deprecations
