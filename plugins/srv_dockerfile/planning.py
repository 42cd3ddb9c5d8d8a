"""The plan of an image: the folder's files, the needs of its settings, and the changes of plugins."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
from msgspec.structs import replace

from srv.discovery import PluginKind, Plugins
from srv.errors import closed, listed, quoted
from srv.hooks import Hooks
from srv.hooks.implementations import ARGUMENTS
from srv.images import APP, ImagePlan
from srv.model_settings import ModelSettings
from srv.probe.host import ProbeFailed
from srv.repository import Found, Repository
from srv.server import not_running
from srv.settings import ServerSettings, read_server_settings
from srv.settings.documents import read_document
from srv.settings.environment import DEFAULT_PREFIX, PREFIX
from srv.settings.models import FILE as MODEL_FILE
from srv.settings.reading import FILE
from srv.settings.schemas import is_loopback
from srv.version import __version__
from srv_dockerfile.build_secrets import check_id
from srv_dockerfile.code_requirements import add_code_requirements
from srv_dockerfile.conda import conda_file
from srv_dockerfile.cuda import add_cuda
from srv_dockerfile.distributions import bring_along, needed, require
from srv_dockerfile.dockerignore import Ignore
from srv_dockerfile.environment.adding import add_locked, add_package, choose_python, not_used, variables_wanted
from srv_dockerfile.environment.apt import system_packages
from srv_dockerfile.environment.project import read_project
from srv_dockerfile.environment.reading import read_environment
from srv_dockerfile.errors import LeftOut
from srv_dockerfile.files import OURS, travelling
from srv_dockerfile.ignore_lines import lines_for, own_lines
from srv_dockerfile.layers import artifact_layers
from srv_dockerfile.markers import HERE, image_environment, python_of
from srv_dockerfile.missing import add_tls, notes_on_artifacts, notes_on_no_models
from srv_dockerfile.model_codecs import CodecsOfModels, codecs_of_models
from srv_dockerfile.model_environments import add_model_environments, archives_of
from srv_dockerfile.requirements import Named, read_lines, read_requirements
from srv_dockerfile.secret_files import secret_files
from srv_dockerfile.storages import storages_of

REQUIREMENTS = "requirements.txt"
#: Hooks that no server calls while it serves.
_FOR_IMAGES = {"srv_image_plan", "srv_builders", "srv_settings_schema"}
#: Where models are mounted, unless the folder's settings say otherwise.
MOUNTED = "/mnt/models"
#: What holds in an image where no settings.json says otherwise; the host is the container's own network.
DEFAULTS = {"host": "0.0.0.0", "models_dir": MOUNTED, "plugins.strict": "true"}  # noqa: S104


def open_folder(folder: Path, installed: Plugins) -> tuple[Plugins, Hooks]:
    """Return the installed plugins, judged by the folder's own settings, and their hooks.

    The environment of this machine says nothing about the image. Raises a SettingError, or PluginsNotWhole with
    plugins.strict.
    """
    settings = _settings(folder, installed)
    chosen = settings.plugins
    plugins = installed.under(disable=chosen.disable, only=chosen.only, prefer=chosen.prefer, optional=chosen.optional)
    return plugins, Hooks.start(plugins, sections=settings.sections, server=not_running(settings), strict=chosen.strict)


def echo_to_stderr(text: str) -> None:
    """Print a line on stderr."""
    click.echo(text, err=True)


def plan_for(
    folder: Path,
    plugins: Plugins,
    hooks: Hooks,
    *,
    wheels: Path,
    base_image: str | None = None,
    secrets: Sequence[str] = (),
    cuda: str | None = None,
    tell: Callable[[str], object] = echo_to_stderr,
) -> ImagePlan:
    """Return the plan for the image of a folder; wheels of what is on no index are made in `wheels`.

    `secrets` are ids of those that the build will be given; `cuda`, the version of CUDA that packages are chosen for.
    `tell` hears of what takes long.

    Raises a SrvError for a folder that would not serve as an image: broken settings, a link that leaves it, a Python
    that is too old.
    """
    begun = _begin(folder, plugins)
    plan = begun.plan
    plan.secrets = list(dict.fromkeys(map(check_id, secrets)))
    plan.ignore = lines_for(folder, own_lines(folder), _made_of(plan.models, folder))
    _check_files(plan, begun.settings)
    plan.base_image = base_image or plan.base_image
    named = _add_environment(plan, wheels, base_is_given=base_image is not None)
    models = [*plan.models, *begun.defaults]
    codecs = _codecs(plan, models, begun.settings, plugins, tell)
    wanted = [
        *needed(begun.settings, models, codecs, plugins),
        *((PluginKind.CODEC, name) for name in sorted(codecs.hinted)),
        *_hooks_in_use(plan, begun.settings, hooks),
        *storages_of(plan, plan.models, hooks),
    ]
    names = require(plan, wanted, plugins, wheels, named)
    names |= add_code_requirements(plan, models, names, named, wheels)
    bring_along(plan, names | plan.named, wheels, named)
    _add_serving(plan, begun.settings)
    if cuda is not None:
        add_cuda(plan, cuda)
    plan.artifacts = artifact_layers(folder, Ignore(plan.ignore))
    add_model_environments(plan)
    hooks.image_plan(plan)
    if base_image is not None:
        plan.base_image = base_image
    return plan


def files_plan(folder: Path, plugins: Plugins, hooks: Hooks) -> ImagePlan:
    """Return the plan as far as it says which files go into the image, and which of them hold secrets."""
    begun = _begin(folder, plugins)
    begun.plan.ignore = lines_for(folder, own_lines(folder), _made_of(begun.plan.models, folder))
    _check_files(begun.plan, begun.settings)
    hooks.image_plan(begun.plan)
    return begun.plan


def serving_plan(folder: Path, plugins: Plugins, hooks: Hooks) -> ImagePlan:
    """Return the plan as far as it says how the image serves: its models, variables, command, health check and user.

    Of what the image is made, files and packages, it says nothing, and nothing is looked at for it.
    """
    begun = _begin(folder, plugins)
    _add_serving(begun.plan, begun.settings)
    hooks.image_plan(begun.plan)
    return begun.plan


class _Begun(NamedTuple):
    """A plan with its models, and what the folder's files say: its settings, and its defaults for models, if any."""

    plan: ImagePlan
    settings: ServerSettings
    defaults: tuple[ModelSettings, ...]


def _begin(folder: Path, plugins: Plugins) -> _Begun:
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
        base_image=f"python:{HERE}-slim",
        labels={
            "org.opencontainers.image.title": title,
            "org.opencontainers.image.description": f"Models served by srv {__version__}",
            **_version_label(found.models),
        },
        notes=[note for note in found.notes if "is not there; no models come" not in note],
    )
    return _Begun(plan, settings, () if found.defaults is None else (found.defaults,))


def _version_label(models: Collection[ModelSettings]) -> Mapping[str, str]:
    """Return the version of the one model that the folder has, as a label; with several, none is the image's."""
    version = next(iter(models)).version if len(models) == 1 else None
    return {} if version is None else {"org.opencontainers.image.version": version}


def _settings(folder: Path, plugins: Plugins) -> ServerSettings:
    return read_server_settings(folder, environ={}, plugin_sections=plugins.sections(), for_elsewhere=True)


def _found(folder: Path, settings: ServerSettings, values: Mapping[str, Any], plugins: Plugins) -> Found:
    """Return the models as the image has them: those of the folder; others may be mounted."""
    models_dir = settings.models_dir
    if "models_dir" not in values or (models_dir is not None and not _is_in(models_dir, folder)):
        models_dir = folder / OURS / "mounted"  # not there now, as little as the folder that is mounted later
        by_image = {} if "models_dir" in values else {"models_dir": f"{DEFAULT_PREFIX}MODELS_DIR"}
        settings = replace(settings, models_dir=models_dir, origins={**settings.origins, **by_image})
    found = Repository.of(settings, plugins).models()
    for failure in found.failures:
        raise failure.error
    return found


def _is_in(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _root_name(folder: Path, models: Collection[ModelSettings], root_values: Mapping[str, Any]) -> str | None:
    """Return the name of the model that is the folder itself, if only the folder's name gives it."""
    if "name" in root_values:
        return None
    return next((model.name for model in models if model.folder == folder.absolute()), None)


def models_of(folder: Path, plugins: Plugins) -> tuple[ModelSettings, ...]:
    """Return the models of the folder that the image has, and its defaults for other models."""
    begun = _begin(folder, plugins)
    return (*begun.plan.models, *begun.defaults)


def _codecs(
    plan: ImagePlan,
    models: Collection[ModelSettings],
    settings: ServerSettings,
    plugins: Plugins,
    tell: Callable[[str], object],
) -> CodecsOfModels:
    """Return what the models' code says of codecs; note what could not be imported."""
    try:
        codecs = codecs_of_models(settings, models, plugins, tell)
    except ProbeFailed as error:
        codecs = CodecsOfModels(failures={str(error): [(model.name, model.version) for model in models]})
    for reason, keys in codecs.failures.items():
        names = [name for name, _ in keys]
        several = f"Models {listed(names)}" if len(names) > 1 else f"Model '{names[0]}'"
        plan.notes.append(
            f"{several} could not be imported here: {closed(reason)} So nobody knows which codecs of packages their hints "
            "name, and the image has those that the settings and the environment's files name."
        )
    return codecs


def _hooks_in_use(plan: ImagePlan, settings: ServerSettings, hooks: Hooks) -> Iterator[tuple[PluginKind, str]]:
    """Yield the hook modules that a server of the folder uses here, and that are not srv's own.

    Those that only fetch artifacts count where models are mounted later; the models of the image say which they need.
    """
    left_out = _FOR_IMAGES | ({"srv_storage"} if plan.models else set())
    rows = {row.qualified: row for hook in ARGUMENTS if hook not in left_out for row in hooks.order(hook)}
    for name, row in sorted(rows.items()):
        if row.ours:
            continue
        if row.name not in settings.sections:
            plan.notes.append(
                f"The image has the {row}, because a server of the folder uses it here. To leave it out, name it in "
                "plugins.disable of settings.json."
            )
        yield PluginKind.HOOKS, name


def _made_of(models: Iterable[ModelSettings], folder: Path) -> list[str]:
    """Return the names of the folders, artifacts and archived environments of models, below the folder."""
    root = folder.resolve()
    places = {place.resolve() for model in models for place in (model.folder, model.artifact_root, *archives_of(model))}
    return sorted(place.relative_to(root).as_posix() for place in places if root in place.parents)


def _check_files(plan: ImagePlan, settings: ServerSettings) -> None:
    """Raise for what would travel and cannot; note the secrets that would, and what models and settings miss."""
    ignore = Ignore(plan.ignore)
    plan.secret_files = secret_files(travelling(plan.folder, ignore), plan.notes)
    for model in plan.models:
        plan.notes += notes_on_artifacts(model, plan.folder, ignore)
    if settings.tls is not None:
        add_tls(plan, settings.tls, ignore)
    if not plan.models:
        plan.notes += notes_on_no_models(plan, settings)


def _add_environment(plan: ImagePlan, wheels: Path, *, base_is_given: bool) -> Named:
    """Add the environment files of the folder, and what they name, to the plan; return what they name."""
    folder = plan.folder
    conda, project = conda_file(folder), read_project(folder)
    is_other = conda is not None or (folder / REQUIREMENTS).is_file()
    environment = None if is_other else read_environment(folder, project)
    if conda is None:
        choose_python(plan, project, environment, base_is_given=base_is_given)
    python = (conda.python or HERE) if conda is not None else python_of(plan.base_image)
    named = Named(environment=image_environment(python))
    if conda is not None:
        plan.conda_file, plan.conda_specs = conda.name, conda.specs()
        named.distributions |= conda.packages
        read_lines(folder, conda.pip, conda.name, named)
    if (folder / REQUIREMENTS).is_file():
        plan.requirements_files.append(REQUIREMENTS)
        read_requirements(folder, REQUIREMENTS, named)
    if environment is not None:
        add_locked(plan, named, environment, wheels)
    if project is not None:
        add_package(plan, named, project, wheels)
    plan.requirements_needs = named.needs
    plan.named, plan.hashed = frozenset(named.distributions), named.hashed
    ignore = Ignore(plan.ignore)
    for name in (plan.conda_file, *plan.requirements_files, *plan.requirements_needs):
        if name is not None and name not in plan.generated and ignore.leaves_out(name):
            raise LeftOut(name)
    plan.build_packages += sorted(named.tools)
    plan.system_packages += system_packages(folder)
    plan.notes += [*named.notes, *not_used(plan, project, environment), *variables_wanted(plan)]
    return named


def _add_serving(plan: ImagePlan, settings: ServerSettings) -> None:
    """Add how the image serves: defaults below the folder's settings, also below those mounted later; ports; commands."""
    plan.command = ["python", "-P", "-m", "srv", "start", APP]
    if plan.root_name is not None:
        plan.command += ["--root-name", plan.root_name]
    plan.env = {
        "HOME": "/tmp",  # noqa: S108 - the one folder of a container that is writable
        "PYTHONSAFEPATH": "1",
    }
    for key, value in DEFAULTS.items():
        variable = key.replace(".", "__").upper()
        plan.env[DEFAULT_PREFIX + variable] = value
        if settings.origin(key) == "default":
            plan.env[PREFIX + variable] = value
    if settings.origin("host") != "default" and is_loopback(settings.host) and not settings.is_on_unix_socket():
        plan.notes.append(
            f"settings.json says that host is {quoted(settings.host)}, so nobody reaches the server from outside of its "
            "container. Take the line out: an image listens on all addresses."
        )
    plan.ports = [
        port
        for port in (None if settings.is_on_unix_socket() else settings.http_port, settings.grpc_port)
        if port is not None and port != 0
    ]
    if settings.tls is not None and settings.tls.client_ca is not None:
        plan.notes.append("The image has no health check, because the server asks its clients for a certificate.")
    elif settings.http_port == 0 and not settings.is_on_unix_socket():
        plan.notes.append("The image has no health check, because http_port 0 takes another port at each start.")
    else:
        plan.health = ["python", "-P", "-m", "srv", "health", APP]
