"""Errors of plugins that somebody asks for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from srv.errors import SrvError, closed, listed, nearest, quoted, said_by

if TYPE_CHECKING:
    from srv.discovery.plugin import Plugin, PluginKind


class PluginError(SrvError):
    """A plugin that somebody asks for is not available."""


class UnknownPlugin(PluginError):
    """No installed distribution brings a plugin of that kind and name."""

    def __init__(self, kind: PluginKind, name: str, known: Iterable[str]) -> None:
        names = list(known)
        super().__init__(
            f"No {kind.noun} is called {quoted(name)}; installed: {listed(names)}."
            f"{nearest(name, names) or ' Install the package that brings it.'}"
        )


class UnknownRuntime(UnknownPlugin):
    """A model asks for a runtime that no installed distribution brings."""


class PluginContested(PluginError):
    """Several distributions bring a plugin of the same kind and name, and somebody asks for it by that name."""

    def __init__(self, kind: PluginKind, name: str, distributions: Sequence[str]) -> None:
        both = "Both " if len(distributions) == 2 else ""
        choices = " or ".join(f"'{distribution}:{name}'" for distribution in distributions)
        super().__init__(
            f"{both}{' and '.join(distributions)} bring a {kind.noun} called '{name}'. Say which one is meant, "
            f"{choices}, or choose one for all with plugins.prefer: "
            f'{{"{kind.value}:{name}": "{distributions[0]}"}}.'
        )
        self.distributions = tuple(distributions)


class RuntimeContested(PluginContested):
    """Two distributions bring a runtime of the same name, and a model asks for it."""


class PluginDisabled(PluginError):
    """The plugin is disabled by settings or command line."""

    def __init__(self, plugin: Plugin) -> None:
        super().__init__(
            f"The {plugin.kind.noun} '{plugin.name}' of {plugin.distribution} is disabled: {closed(plugin.reason)}"
        )


class PluginRefused(PluginError):
    """The plugin is refused, because its metadata says that it cannot work here."""

    def __init__(self, plugin: Plugin) -> None:
        super().__init__(
            f"The {plugin.kind.noun} '{plugin.name}' of {plugin.distribution} {plugin.version} is refused: "
            f"{closed(plugin.reason)}"
        )


class PluginBroken(PluginError):
    """The import or the registration of a plugin failed; the log and `srv doctor` have the traceback."""

    def __init__(self, plugin: Plugin) -> None:
        super().__init__(
            f"The {plugin.kind.noun} '{plugin.name}' of {plugin.distribution} {plugin.version} "
            f"({plugin.entry_point}) is broken: {closed(plugin.reason)}"
        )


class ExtraMissing(PluginError):
    """The load of a model needs what an extra of the runtime's distribution brings, and the extra is not installed."""

    def __init__(self, runtime: Plugin, error: ImportError) -> None:
        super().__init__(
            f"The {runtime.kind.noun} '{runtime.name}' of {runtime.distribution} {runtime.version}: "
            f"{closed(said_by(error)).rstrip('.')}; {runtime.missing_extra}."
        )


class RequiredPluginUnusable(PluginBroken):
    """A required hook module, or a plugin that it brought, is disabled by `only`, refused or quarantined."""

    def __init__(self, required: Plugin, reasons: Sequence[str]) -> None:
        PluginError.__init__(
            self,
            f"srv does not serve without the {required.kind.noun} '{required.name}' of "
            f"{required.distribution} {required.version}, because {required.required}, and it cannot be used: "
            f"{' '.join(closed(reason) for reason in reasons)} Mend it, name it in plugins.optional where the server "
            "may run without it, or leave it out with plugins.disable.",
        )


class RequiredPluginMissing(PluginError):
    """The settings have a section for a hook module that no installed distribution brings."""

    def __init__(self, section: str, known: Iterable[str]) -> None:
        super().__init__(
            f"The settings have a section '{section}', and no installed plugin is called so.{nearest(section, known)} "
            "Install the package that brings it, take the section out, or name it in plugins.optional where the server "
            "may run without it."
        )


class PluginsNotWhole(PluginError):
    """A plugin is refused or quarantined while plugins.strict is on."""

    def __init__(self, plugins: Sequence[Plugin]) -> None:
        first = plugins[0]
        more = f" (and {len(plugins) - 1} more)" if len(plugins) > 1 else ""
        super().__init__(
            f"plugins.strict is on, and the {first.kind.noun} '{first.name}' of {first.distribution} "
            f"{first.version} is {first.state.value}: {first.reason}{more}. Mend or remove it, add it to "
            f"plugins.disable, or set plugins.strict to false."
        )
