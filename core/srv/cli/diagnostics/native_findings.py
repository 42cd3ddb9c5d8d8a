"""Findings about models that run classes of MLServer's where an installed runtime of srv's serves the same files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from srv.cli.diagnostics.finding import Finding, advice
from srv.discovery import PluginKind, Plugins
from srv.errors import SettingsError, listed, quoted
from srv.repository import Repository
from srv.repository.foreign_classes import native_runtime
from srv.settings import read_server_settings


def examine(folder: Path | None, found: Plugins) -> Iterator[Finding]:
    """Yield one piece of advice for each native runtime, with the models of the folder that could have it."""
    if folder is None:
        return
    try:
        settings = read_server_settings(folder, plugin_sections=found.sections())
        models = Repository.of(settings, found).models().models
    except SettingsError:
        return  # other findings tell it
    installed = found.names(PluginKind.RUNTIME)
    names: dict[tuple[str, str], list[str]] = {}
    for model in models:
        runtime = native_runtime(model.implementation, (model.folder, model.implementation_folder))
        if runtime is not None and runtime in installed:
            names.setdefault((str(model.implementation), runtime), []).append(quoted(model.name))
    for (implementation, runtime), of in names.items():
        yield advice(
            "models",
            f"{implementation} of MLServer serves {listed(of)}, and the runtime '{runtime}' of "
            f"{found.find(PluginKind.RUNTIME, runtime).distribution} is installed, which serves the same files natively.",
            f'Write "runtime": "{runtime}" in place of the implementation, or "mlserver": {{"prefer_native": true}} in '
            "settings.json for all models.",
        )
