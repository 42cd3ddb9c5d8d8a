"""Which distributions a folder's settings need: who brings its runtimes, content types and plugins, and srv itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from srv.discovery import Kind, Plugins
from srv.discovery.decision import covers
from srv.discovery.errors import UnknownPlugin, UnknownRuntime
from srv.discovery.plugin import OURS
from srv.images import ImagePlan
from srv.modelsettings import ModelSettings
from srv.settings import ServerSettings
from srv_dockerfile.errors import NotInstalled
from srv_dockerfile.wheels import is_local, origin, version_of, wheel_of

#: What a content type of srv's own needs beside srv.
_EXTRAS = {"pd": "pandas"}


def needed(
    settings: ServerSettings, models: Iterable[ModelSettings], defaults: Mapping[str, Any], plugins: Plugins
) -> Iterator[tuple[Kind, str]]:
    """What the settings name: runtimes, content types and hook modules, each by its kind and name."""
    for model in models:
        if model.runtime is not None:
            yield Kind.RUNTIME, model.runtime
        for said in (model.parameters.content_type, *_content_types(model)):
            if isinstance(said, str):
                yield Kind.CODEC, said
    if isinstance(defaults.get("runtime"), str):
        yield Kind.RUNTIME, defaults["runtime"]
    parameters = defaults.get("parameters")
    if isinstance(parameters, Mapping) and isinstance(parameters.get("content_type"), str):
        yield Kind.CODEC, parameters["content_type"]
    for section in settings.sections:
        yield Kind.HOOKS, section
    for word in settings.plugins.only or ():
        for row in plugins.rows:
            if row.usable and not row.ours and row.computed_by is None and covers(word, row):
                yield row.kind, row.qualified


def require(plan: ImagePlan, wanted: Iterable[tuple[Kind, str]], plugins: Plugins, wheels: Path) -> None:
    """Add to the plan whatever brings what is wanted, and srv, as it is installed here. What the user names stays.

    A plugin that is not installed here is an error, unless there is a file of the user's that may bring it.
    """
    names = {OURS}
    for kind, name in wanted:
        if kind is Kind.CODEC and name in _EXTRAS and _closure([_EXTRAS[name]]):
            names.add(_EXTRAS[name])
        try:
            names.add(canonicalize_name(plugins.find(kind, name).distribution))
        except (UnknownPlugin, UnknownRuntime) as error:
            if not plan.named:
                raise
            plan.notes.append(f"{error} The image has it only if the environment's files bring it.")
    for name in sorted(names):
        _require(plan, name, wheels)
    _bring_along(plan, names | plan.named, wheels)


def _require(plan: ImagePlan, name: str, wheels: Path) -> None:
    if name in plan.named:
        return
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        raise NotInstalled(name) from None
    direct = origin(distribution)
    if direct is None:
        plan.requirements.append(f"{name}=={_public(distribution.version)}")
    elif is_local(direct):
        plan.wheels.append(wheel_of(name, direct, wheels))
        plan.requirements.append(f"{name}=={version_of(plan.wheels[-1])}")
    else:
        plan.requirements.append(f"{name} @ {direct['url']}")


def _bring_along(plan: ImagePlan, names: Iterable[str], wheels: Path) -> None:
    """Add wheels of what those distributions require in turn, and what the user names, where no index has it."""
    there = {canonicalize_name(wheel.name.partition("-")[0]) for wheel in plan.wheels}
    for name in sorted(_closure(names) - there):
        direct = origin(metadata.distribution(name))
        if direct is not None and is_local(direct):
            plan.wheels.append(wheel_of(name, direct, wheels))


def _closure(names: Iterable[str]) -> set[str]:
    """The distributions that are installed here among these, what they require, and so on."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        try:
            lines = metadata.requires(name) or ()
        except metadata.PackageNotFoundError:
            continue
        if name not in found:
            found.add(name)
            waiting += _required(lines)
    return found


def _required(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield canonicalize_name(requirement.name)


def _public(version: str) -> str:
    """A version as an index has it, without the `+cpu` that one machine's build has."""
    try:
        return Version(version).public
    except InvalidVersion:
        return version


def _content_types(model: ModelSettings) -> Iterator[Any]:
    for spec in (*(model.inputs or ()), *(model.outputs or ())):
        yield spec.parameters.get("content_type")
