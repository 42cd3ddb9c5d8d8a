"""Distributions that a folder's settings need: those of its runtimes, content types and plugins, and srv itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from srv.discovery import PluginKind, Plugins
from srv.discovery.errors import UnknownPlugin, UnknownRuntime
from srv.discovery.metadata import distribution_called
from srv.discovery.origins import origin
from srv.discovery.plugin import OURS
from srv.discovery.plugin_states import covers
from srv.images import ImagePlan
from srv.model_settings import ModelSettings
from srv.settings import ServerSettings
from srv_dockerfile.errors import NotInstalled
from srv_dockerfile.model_codecs import CodecsOfModels, content_types
from srv_dockerfile.requirements import Named
from srv_dockerfile.wheels import is_local, version_of, wheel_of

#: What a content type of srv's own needs beside srv.
_EXTRAS = {"pd": "pandas"}


def needed(
    settings: ServerSettings, models: Iterable[ModelSettings], codecs: CodecsOfModels, plugins: Plugins
) -> Iterator[tuple[PluginKind, str]]:
    """Return what the settings name: runtimes, content types and hook modules, by kind and name.

    No distribution is needed for a content type that a model's own folder brings; nor for one that is not installed and
    that the folder may bring, because its code could not be imported here.
    """
    installed = plugins.names(PluginKind.CODEC)
    for model in models:
        for runtime in (model.runtime, *model.candidates):
            if runtime is not None:
                yield PluginKind.RUNTIME, runtime
        for said in content_types(model):
            if not (codecs.brings(model, said) or (said not in installed and codecs.is_unknown(model))):
                yield PluginKind.CODEC, said
    for section in settings.sections:
        if section in plugins.sections() or section not in settings.plugins.optional:
            yield PluginKind.HOOKS, section
    for word in settings.plugins.only or ():
        for row in plugins.rows:
            if row.usable and not row.ours and row.computed_by is None and covers(word, row):
                yield row.kind, row.qualified


def require(
    plan: ImagePlan, wanted: Iterable[tuple[PluginKind, str]], plugins: Plugins, wheels: Path, named: Named
) -> set[str]:
    """Add the distributions of what is wanted, and srv, to the plan, as installed here; what files have named wins.

    Returns their names.

    A plugin that is not installed here is an error, unless there is a file of the user's that may bring it.
    """
    names = {OURS}
    for kind, name in wanted:
        if kind is PluginKind.CODEC and name in _EXTRAS and closure([_EXTRAS[name]], named):
            names.add(_EXTRAS[name])
        try:
            row = plugins.find(kind, name)
        except (UnknownPlugin, UnknownRuntime) as error:
            if not plan.named:
                raise
            plan.notes.append(f"{error} The image has it only if the environment's files bring it.")
        else:
            distribution = canonicalize_name(row.distribution)
            names.add(distribution)
            named.extras.setdefault(distribution, set()).update(row.extras)
    for name in sorted(names):
        pin(plan, name, wheels, named.extras.get(name, ()))
    return names


def pin(plan: ImagePlan, name: str, wheels: Path, extras: Iterable[str] = ()) -> None:
    """Add a distribution to the plan as it is installed here, with extras, unless the user's own files name it."""
    if name in plan.named:
        return
    distribution = distribution_called(name)
    if distribution is None:
        raise NotInstalled(name)
    direct = origin(distribution)
    asked = f"{name}[{','.join(sorted(extras))}]" if extras else name
    if direct is None:
        plan.requirements.append(f"{asked}=={public(distribution.version)}")
    elif is_local(direct):
        plan.wheels.append(wheel_of(name, direct, wheels))
        plan.requirements.append(f"{asked}=={version_of(plan.wheels[-1])}")
    else:
        plan.requirements.append(f"{asked} @ {direct['url']}")


def bring_along(plan: ImagePlan, names: Iterable[str], wheels: Path, named: Named) -> None:
    """Add wheels of required distributions that no index has, also of what the user's files name."""
    there = {canonicalize_name(wheel.name.partition("-")[0]) for wheel in plan.wheels}
    for name in sorted(closure(names, named) - there):
        direct = origin(distribution_called(name))
        if direct is not None and is_local(direct):
            plan.wheels.append(wheel_of(name, direct, wheels))


def closure(names: Iterable[str], named: Named) -> set[str]:
    """Return those of these distributions that are installed here, with what they require in the image, and so on.

    They have the extras that `named` says.
    """
    found: set[tuple[str, str]] = set()
    waiting = [(name, extra) for name in names for extra in ("", *named.extras.get(name, ()))]
    while waiting:
        name, extra = waiting.pop()
        distribution = distribution_called(name) if (name, extra) not in found else None
        if distribution is not None:
            found.add((name, extra))
            waiting += _required(distribution.requires or (), {**named.environment, "extra": extra})
    return {name for name, _ in found}


def _required(lines: Iterable[str], environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield what lines of a distribution's metadata require: names, and each with its extras."""
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if requirement.marker is None or requirement.marker.evaluate(dict(environment)):
            for extra in ("", *requirement.extras):
                yield canonicalize_name(requirement.name), extra


def public(version: str) -> str:
    """Return a version as an index has it, without the `+cpu` of one machine's build."""
    try:
        return Version(version).public
    except InvalidVersion:
        return version
