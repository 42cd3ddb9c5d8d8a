"""What can be wrong with a plugin that somebody asks for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from srv.errors import SrvError, closed, listed, nearest, quoted

if TYPE_CHECKING:
    from srv.discovery.plugin import Kind, Plugin

_NOUNS = {
    "runtime": "runtime",
    "codec": "codec",
    "command": "command",
    "hooks": "hook module",
    "route": "route",
    "unknown": "plugin",
}


class PluginError(SrvError):
    """A plugin that somebody asks for cannot be had."""


class UnknownPlugin(PluginError):
    """No installed distribution brings a plugin of that kind and name."""

    def __init__(self, kind: Kind, name: str, known: Iterable[str]) -> None:
        names = list(known)
        super().__init__(
            f"No {_NOUNS[kind.value]} is called {quoted(name)}; installed: {listed(names)}."
            f"{nearest(name, names) or ' Install the package that brings it.'}"
        )


class UnknownRuntime(UnknownPlugin):
    """A model asks for a runtime that no installed distribution brings."""


class PluginContested(PluginError):
    """Several distributions bring a plugin of the same kind and name, and somebody asks for it by that name."""

    def __init__(self, kind: Kind, name: str, distributions: Sequence[str]) -> None:
        both = "Both " if len(distributions) == 2 else ""
        choices = " or ".join(f"'{distribution}:{name}'" for distribution in distributions)
        super().__init__(
            f"{both}{' and '.join(distributions)} bring a {_NOUNS[kind.value]} called '{name}'. Say which one is meant, "
            f"{choices}, or choose one for all with plugins.prefer: "
            f'{{"{kind.value}:{name}": "{distributions[0]}"}}.'
        )
        self.distributions = tuple(distributions)


class RuntimeContested(PluginContested):
    """Two distributions bring a runtime of the same name, and a model asks for it."""


class PluginDisabled(PluginError):
    """The settings or the command line switched it off."""

    def __init__(self, plugin: Plugin) -> None:
        super().__init__(
            f"The {_NOUNS[plugin.kind.value]} '{plugin.name}' of {plugin.distribution} is disabled: {closed(plugin.reason)}"
        )


class PluginRefused(PluginError):
    """Its metadata says that it cannot work here."""

    def __init__(self, plugin: Plugin) -> None:
        super().__init__(
            f"The {_NOUNS[plugin.kind.value]} '{plugin.name}' of {plugin.distribution} {plugin.version} is refused: "
            f"{closed(plugin.reason)}"
        )


class PluginBroken(PluginError):
    """Its import or registration failed; the log and `srv doctor` have the traceback."""

    def __init__(self, plugin: Plugin) -> None:
        super().__init__(
            f"The {_NOUNS[plugin.kind.value]} '{plugin.name}' of {plugin.distribution} {plugin.version} "
            f"({plugin.entry_point}) is broken: {closed(plugin.reason)}"
        )


class PluginsNotWhole(PluginError):
    """plugins.strict is on, and some plugin is refused or quarantined."""

    def __init__(self, plugins: Sequence[Plugin]) -> None:
        first = plugins[0]
        more = f" (and {len(plugins) - 1} more)" if len(plugins) > 1 else ""
        super().__init__(
            f"plugins.strict is on, and the {_NOUNS[first.kind.value]} '{first.name}' of {first.distribution} "
            f"{first.version} is {first.state.value}: {first.reason}{more}. Mend or remove it, add it to "
            f"plugins.disable, or set plugins.strict to false."
        )
