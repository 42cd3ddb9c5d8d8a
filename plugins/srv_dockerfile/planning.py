"""The plan of an image: what the folder has, what its settings need, and what plugins make of it."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from srv.discovery import Plugins
from srv.errors import quoted
from srv.hooks import Hooks
from srv.images import APP, ImagePlan
from srv.modelsettings import ModelSettings
from srv.repository import Found, Repository
from srv.settings import ServerSettings, read_server_settings
from srv.settings.documents import read_document
from srv.settings.models import FILE as MODEL_FILE
from srv.settings.reading import FILE
from srv.version import __version__
from srv_dockerfile.conda import conda_file
from srv_dockerfile.distributions import needed, require
from srv_dockerfile.errors import LeftOut
from srv_dockerfile.files import OURS, travelling
from srv_dockerfile.ignoring import Ignore, lines_of
from srv_dockerfile.requirements import Named, read_lines, read_requirements

REQUIREMENTS = "requirements.txt"
#: Where models are mounted, unless the folder's settings say otherwise.
MOUNTED = "/mnt/models"
#: What srv's parser of requests is compiled with, because the index has it as a source only.
COMPILER = ("gcc", "libc6-dev")


def opened(folder: Path, installed: Plugins, *, no_plugin: Collection[str] = ()) -> tuple[Plugins, Hooks]:
    """What is installed, judged by the folder's own settings, and its hooks.

    The environment of this machine says nothing about the image. Raises a SettingError, or PluginsNotWhole with
    plugins.strict.
    """
    settings = _settings(folder, installed)
    chosen = settings.plugins
    plugins = installed.under(disable=(*no_plugin, *chosen.disable), only=chosen.only, prefer=chosen.prefer)
    return plugins, Hooks.start(plugins, sections=settings.sections, server=settings, strict=chosen.strict)


def plan_for(folder: Path, plugins: Plugins, hooks: Hooks, *, wheels: Path, base_image: str | None = None) -> ImagePlan:
    """What the image of a folder is to be; wheels of what is not on an index are made in `wheels`.

    Raises a SrvError for a folder that would not serve as an image: broken settings, a link that leaves it, a Python
    that is too old.
    """
    settings = _settings(folder, plugins)
    document = read_document(folder / FILE)
    values = {} if document is None else document.values
    root = read_document(folder / MODEL_FILE)
    root_values = {} if root is None else root.values
    found = _found(folder, settings, values, plugins)
    title = folder.resolve().name
    plan = ImagePlan(
        folder=folder,
        title=title,
        models=found.models,
        root_name=_root_name(folder, found.models, root_values),
        base_image=f"python:{sys.version_info.major}.{sys.version_info.minor}-slim",
        build_packages=[*COMPILER],
        labels={
            "org.opencontainers.image.title": title,
            "org.opencontainers.image.description": f"Models served by srv {__version__}",
        },
        ignore=lines_of(folder),
        notes=[note for note in found.notes if "is not there; no models come" not in note],
    )
    _check_files(plan)
    _add_environment(plan)
    require(plan, needed(settings, found.models, root_values, plugins), plugins, wheels)
    _add_serving(plan, settings, values)
    hooks.image_plan(plan)
    if base_image is not None:
        plan.base_image = base_image
    return plan


def _settings(folder: Path, plugins: Plugins) -> ServerSettings:
    return read_server_settings(folder, environ={}, plugin_sections=plugins.sections(), for_elsewhere=True)


def _found(folder: Path, settings: ServerSettings, values: Mapping[str, Any], plugins: Plugins) -> Found:
    """The models as the image has them: those of the folder, while others may be mounted."""
    models_dir = settings.models_dir
    if "models_dir" not in values or (models_dir is not None and not _is_in(models_dir, folder)):
        models_dir = folder / OURS / "mounted"  # not there now, as little as the folder that is mounted later
    repository = Repository(
        replace(settings, models_dir=models_dir), plugins.recognised_files(), plugins.contested_files()
    )
    found = repository.models()
    for failure in found.failures:
        raise failure.error
    return found


def _is_in(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _root_name(folder: Path, models: Collection[ModelSettings], root_values: Mapping[str, Any]) -> str | None:
    """The name of the model that is the folder itself, where only the folder gives it that."""
    if "name" in root_values:
        return None
    return next((model.name for model in models if model.folder == folder.absolute()), None)


def _check_files(plan: ImagePlan) -> None:
    """Look at everything that would travel, for links that leave the folder and artifacts that lie outside."""
    for _ in travelling(plan.folder, Ignore(plan.ignore)):
        pass
    for model in plan.models:
        if model.artifact_root != model.folder and not _is_in(model.artifact_root, plan.folder):
            plan.notes.append(
                f"Model '{model.name}' has its artifacts outside of the folder, at {quoted(model.parameters.uri)}, so "
                "the image has them not. Mount them there."
            )


def _add_environment(plan: ImagePlan) -> None:
    """The environment files of the folder, and what they name."""
    named, folder = Named(), plan.folder
    conda = conda_file(folder)
    if conda is not None:
        plan.conda_file, plan.conda_specs = conda.name, conda.specs()
        named.distributions |= conda.packages
        read_lines(folder, conda.pip, conda.name, named)
    if (folder / REQUIREMENTS).is_file():
        plan.requirements_files.append(REQUIREMENTS)
        read_requirements(folder, REQUIREMENTS, named)
    plan.requirements_needs = named.needs
    plan.named, plan.hashed = frozenset(named.distributions), named.hashed
    ignore = Ignore(plan.ignore)
    for name in (plan.conda_file, *plan.requirements_files, *plan.requirements_needs):
        if name is not None and ignore.leaves_out(name):
            raise LeftOut(name)


def _add_serving(plan: ImagePlan, settings: ServerSettings, values: Mapping[str, Any]) -> None:
    """How the image serves: what srv sets where the folder's settings do not say, ports, command, health check."""
    plan.command = ["python", "-P", "-m", "srv", "start", APP]
    if plan.root_name is not None:
        plan.command += ["--root-name", plan.root_name]
    said = values.get("plugins")
    plan.env = {"HOME": "/tmp", "PYTHONSAFEPATH": "1"}  # noqa: S108 - the one folder of a container that is writable
    if "host" not in values:
        plan.env["SRV_HOST"] = "0.0.0.0"  # noqa: S104 - the container's own network
    if "http_port" in values:
        plan.env["SRV_HTTP_PORT"] = str(settings.http_port)  # as the file has it; the health check asks there
    if "models_dir" not in values:
        plan.env["SRV_MODELS_DIR"] = MOUNTED
    if not (isinstance(said, Mapping) and "strict" in said):
        plan.env["SRV_PLUGINS__STRICT"] = "true"
    plan.ports = [
        port
        for port in (None if settings.is_on_unix_socket() else settings.http_port, settings.grpc_port)
        if port is not None and port != 0
    ]
    if settings.tls is None:
        plan.health = ["python", "-P", "-m", "srv", "health"]
        if settings.is_on_unix_socket():
            plan.health += ["--url", settings.host]
    else:
        plan.notes.append("The image has no health check, because the server speaks TLS.")
