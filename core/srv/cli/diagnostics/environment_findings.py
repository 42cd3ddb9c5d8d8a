"""Findings about environments: the Python and the packages that models of a folder have for their own processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from srv.cli.diagnostics.finding import Finding, advice, problem
from srv.discovery import Plugins
from srv.environments.errors import EnvironmentUnusable, NoEnvironment
from srv.environments.interpreters import interpreter_in, pip_in
from srv.environments.machine import this_machine
from srv.environments.packed import examine_archive
from srv.errors import SettingsError
from srv.model_settings import ModelSettings
from srv.repository import Repository
from srv.settings import read_server_settings

_REMEDY = "The model is not loaded until that is mended."


def examine(folder: Path, found: Plugins) -> Iterator[Finding]:
    """Yield findings about each environment that a model's `process` names, without extracting anything."""
    try:
        settings = read_server_settings(folder, plugin_sections=found.sections())
        models = Repository.of(settings, found).models().models
    except SettingsError:
        return  # told by those who examine settings
    by_environment: dict[Path, list[ModelSettings]] = {}
    for model in models:
        if model.process is not None and model.process.environment is not None:
            by_environment.setdefault(model.process.environment, []).append(model)
    for environment, its in by_environment.items():
        about = ", ".join(model.name for model in its)
        try:
            yield from _examined(environment, its, about)
        except EnvironmentUnusable as error:
            yield problem(about, str(error), _REMEDY)


def _examined(environment: Path, models: list[ModelSettings], about: str) -> Iterator[Finding]:
    """Yield findings about one environment. Raises EnvironmentUnusable where it cannot be used at all."""
    if not environment.exists():
        raise NoEnvironment(environment, "where nothing is")
    if not environment.is_dir():
        packed = examine_archive(environment)
        for doubt in packed.doubts:
            yield advice(
                about,
                f"In the environment {environment}, {doubt}. A model that imports it cannot be loaded.",
                f"Make the environment on a machine like this one, which is {this_machine()}.",
            )
        return
    interpreter = interpreter_in(environment)
    for model in models:
        runtime = (model.runtime or "").rpartition(":")[2]
        if runtime and runtime not in interpreter.runtimes:
            yield problem(
                model.name,
                f"The environment {environment} has no runtime '{runtime}', which model '{model.name}' needs.",
                f"Install the package that brings it: {pip_in(interpreter.program)} srv-{runtime}, if it is of srv's own.",
            )
