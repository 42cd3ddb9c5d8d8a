"""Opens a folder for a command: reads its settings, and finds the plugins that they allow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from srv.cli import CommandLine
from srv.cli.options import given_flags
from srv.discovery import Plugins
from srv.settings import ServerSettings, read_server_settings


def open_folder(folder: str, values: Mapping[str, Any]) -> tuple[ServerSettings, Plugins]:
    """Return the settings in force for a folder under a command's flags, and the plugins that they allow.

    Raises SettingsError for what cannot be used, and PluginsNotWhole with plugins.strict.
    """
    command_line = click.get_current_context().find_root().ensure_object(CommandLine)
    installed = command_line.plugins
    settings = read_server_settings(Path(folder), flags=given_flags(values), plugin_sections=installed.sections())
    chosen = settings.plugins
    plugins = installed.under(disable=chosen.disable, only=chosen.only, prefer=chosen.prefer, optional=chosen.optional)
    if chosen.strict:
        plugins.check_strict()
    return settings, plugins
