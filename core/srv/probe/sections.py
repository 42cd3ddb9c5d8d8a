"""Checks of plugins' sections before the start, by the plugins' own schemas in a child process."""

from __future__ import annotations

from collections.abc import Sequence

from srv.discovery import PluginContested, PluginError, PluginKind, Plugins, discover
from srv.errors import SettingsError
from srv.probe import host
from srv.probe.messages import Job
from srv.settings import ServerSettings


class WrongSection(SettingsError):
    """A plugin's schema refuses what the settings say."""

    def __init__(self, origin: str, key: str, message: str) -> None:
        super().__init__(f"{origin}: '{key}': {message}")


class SectionUnchecked(SettingsError):
    """The plugin that a section is for hangs or ends the process that imports it."""

    def __init__(self, section: str, how: str) -> None:
        super().__init__(
            f"The settings of '{section}' could not be checked, because the plugin is broken: {how}. "
            f"Mend or remove it, or add '{section}' to plugins.disable."
        )


class SectionTwice(SettingsError):
    """One plugin has two sections, under its plain name and with its distribution's."""

    def __init__(self, plain: str, qualified: str) -> None:
        super().__init__(
            f"The settings have the sections '{plain}' and '{qualified}' for one plugin. Keep one of them."
        )


class SectionContested(SettingsError):
    """Two distributions bring a hook module of the section's name."""

    def __init__(self, section: str, distributions: Sequence[str]) -> None:
        names = " or ".join(f"'{distribution}:{section}'" for distribution in distributions)
        super().__init__(
            f"The settings have a section '{section}', and {' and '.join(distributions)} both bring a plugin of that "
            f"name. Call the section {names}, or choose with plugins.prefer."
        )


def check_sections(settings: ServerSettings, plugins: Plugins | None = None, *, seconds: float = host.SECONDS) -> None:
    """Have the plugins' sections checked by a child process that imports the plugins they name.

    Raises a SettingsError for the first thing that is wrong. Where no plugin has a section, nothing is imported. A
    plugin that fails to import is no error here: the worker, which registers it whole, says so. `plugins` are those
    that the settings allow, read again where they are not given.
    """
    if not settings.sections:
        return
    found = plugins or _allowed(settings)
    for section in settings.sections:
        _check_name(section, found)
    for row in found.hook_modules():
        if found.has_name(row) and {row.name, row.qualified} <= settings.sections.keys():
            raise SectionTwice(row.name, row.qualified)
    sections = {name: dict(section) for name, section in settings.sections.items()}
    outcome = host.run(Job("sections", found.choice, sections), seconds=seconds)
    for fault in outcome.sections:
        key = ".".join(part for part in (fault["section"], fault["key"]) if part)
        raise WrongSection(_origin(settings, fault["section"], key), key, fault["message"])
    for name, how in outcome.broken.items():
        raise SectionUnchecked(name.rpartition(":")[2], how)


def _allowed(settings: ServerSettings) -> Plugins:
    chosen = settings.plugins
    return discover(disable=chosen.disable, only=chosen.only, prefer=chosen.prefer, optional=chosen.optional)


def _check_name(section: str, found: Plugins) -> None:
    try:
        found.find(PluginKind.HOOKS, section)
    except PluginContested as error:
        raise SectionContested(section, error.distributions) from None
    except PluginError:
        return  # disabled, refused or missing, which its state says


def _origin(settings: ServerSettings, section: str, key: str) -> str:
    """Return where a value came from; for a missing value, where the rest of its section came from."""
    if key in settings.origins:
        return settings.origins[key]
    return next(
        (origin for each, origin in settings.origins.items() if each.startswith(f"{section}.")), "settings.json"
    )
