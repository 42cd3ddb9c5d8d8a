"""Findings about settings: those of a folder, or of the environment alone, and plugins' own sections."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from srv.cli.diagnostics.finding import Finding, advice, problem
from srv.discovery import Plugins
from srv.errors import SettingsError
from srv.fetching.folders import fault_of
from srv.probe.sections import check_sections
from srv.settings import ServerSettings, read_server_settings


def examine(folder: Path | None, found: Plugins) -> Iterator[Finding]:
    """Yield findings about the settings in force for a folder; without one, about the variables SRV_…"""
    settings = None
    try:
        settings = _settings(folder, found)
        check_sections(settings, found)
    except SettingsError as error:
        where = "the environment" if folder is None else str(folder)
        yield problem(where, str(error), "`srv settings` shows every setting and where it came from.")
    if settings is not None and settings.cache_dir is not None and (fault := fault_of(settings.cache_dir)):
        remedy = "Change its rights, or name another one with cache_dir, or SRV_CACHE_DIR."
        yield problem("settings", f"The cache folder {settings.cache_dir} cannot be used: {fault}.", remedy)
    for note in settings.notes if settings is not None else ():
        yield advice("settings", note, "Correct or unset it.")


def _settings(folder: Path | None, found: Plugins) -> ServerSettings:
    if folder is not None:
        return read_server_settings(folder, plugin_sections=found.sections())
    with tempfile.TemporaryDirectory() as empty:
        return read_server_settings(Path(empty), plugin_sections=found.sections())
