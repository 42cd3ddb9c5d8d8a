"""Requirements of a folder's own code: distributions that bring what it imports and no file of the folder names."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import importlib_metadata
from packaging.utils import canonicalize_name

from srv.discovery.metadata import distribution_called
from srv.discovery.origins import origin
from srv.errors import listed, quoted
from srv.images import ImagePlan
from srv.model_settings import ModelSettings
from srv.models.code_folders import codecs_folder, implementation_folder
from srv.models.module_files import has_module
from srv.settings.models import FILE as MODEL_FILE
from srv_dockerfile.distributions import closure, pin, public
from srv_dockerfile.imports import foreign_imports
from srv_dockerfile.requirements import Named
from srv_dockerfile.wheels import is_local


def add_code_requirements(
    plan: ImagePlan, models: Iterable[ModelSettings], brought: Iterable[str], named: Named, wheels: Path
) -> set[str]:
    """Add what the models' code imports, where no file of the folder says what the environment is; return what was added.

    `brought` are the distributions that the image has anyway. Where files of the folder say what it is, they count, and
    a note has the lines to add to them.
    """
    there = closure([*brought, *plan.named], named)
    lacking, unknown = _lacking(models, there)
    has_files = bool(plan.named or plan.requirements_files or plan.conda_file)
    on_index = {name: file for name, file in lacking.items() if not _is_only_here(name)}
    added = {name: file for name, file in lacking.items() if not has_files or name not in on_index}
    for name in added:
        pin(plan, name, wheels)
    if added:
        plan.notes.append(
            f"The image has what the models' code imports and no file of the folder names, as it is installed here: "
            f"{_shown(added)}. Write a requirements.txt to choose what it has."
        )
    missing = {name: file for name, file in lacking.items() if name not in added}
    if missing:
        plan.notes.append(
            f"The models' code imports what no file of the folder brings, as far as can be seen here: {_shown(missing)}. "
            f"Add to {_file_to_change(plan)}: {', '.join(map(_line, missing))}."
        )
    for module, file in unknown.items():
        found = _place_of(module)
        if found is not None and found.resolve().is_relative_to(plan.folder.resolve()):
            continue  # the folder has it, and its project says where
        if found is not None:
            plan.notes.append(
                f"{file} imports {quoted(module)}, which is at {found} and belongs to no package, so the image has it not. "
                "Put it into the folder, or make a package of it and install that."
            )
        elif not has_files:
            plan.notes.append(
                f"{file} imports {quoted(module)}, which is not installed here, so the image has it not. Name the package "
                "that brings it in requirements.txt."
            )
    return set(added)


def _file_to_change(plan: ImagePlan) -> str:
    """Return the file that says what the image's environment is, as a person changes it."""
    own = [name for name in plan.requirements_files if name not in plan.generated]
    if own or plan.conda_file is None:
        return own[0] if own else "your project, and lock it again"
    return f"the pip: section of {plan.conda_file}"


def _lacking(models: Iterable[ModelSettings], there: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the distributions that are not there and bring what models import, and modules of none, each with a file."""
    imported: dict[str, str] = {}
    for model in models:
        classes = [(codecs_folder(model), name) for name in model.codecs]
        if model.implementation is not None:
            classes.append((implementation_folder(model), model.implementation))
        for folder, name in classes:
            module = name.rpartition(".")[0]
            is_own = has_module(folder, module.partition(".")[0])
            imported = {**(foreign_imports(folder, module) if is_own else {module: MODEL_FILE}), **imported}
    imported = {name: file for name, file in imported.items() if not _is_known(name.partition(".")[0])}
    if not imported:
        return {}, {}
    owners = importlib_metadata.packages_distributions()
    lacking: dict[str, str] = {}
    unknown: dict[str, str] = {}
    for name, file in sorted(imported.items()):
        head = name.partition(".")[0]
        names = {canonicalize_name(each) for each in owners.get(head, ())}
        if not names:
            unknown.setdefault(head, file)
        elif not names & set(there):
            lacking.setdefault(_owner(name, sorted(names)), file)
    return lacking, unknown


def _is_known(module: str) -> bool:
    return module in sys.stdlib_module_names or module == "srv"


def _owner(name: str, candidates: list[str]) -> str:
    """Return the one of several distributions that has a dotted name's file; the first where none is seen to have it."""
    if len(candidates) > 1:
        for path in _paths(name):
            for candidate in candidates:
                files = getattr(distribution_called(candidate), "files", None) or ()
                if any(str(file).startswith(path) for file in files):
                    return candidate
    return candidates[0]


def _paths(name: str) -> Iterator[str]:
    """Yield the beginnings of the paths that a dotted name may mean, the longest first."""
    parts = name.split(".")
    for count in range(len(parts), 1, -1):
        yield from ("/".join(parts[:count]) + end for end in ("/", ".py"))


def _is_only_here(name: str) -> bool:
    direct = origin(distribution_called(name))
    return direct is not None and is_local(direct)


def _shown(several: Mapping[str, str]) -> str:
    return listed([f"{name} ({file})" for name, file in several.items()], most=10)


def _line(name: str) -> str:
    return f"{name}=={public(distribution_called(name).version)}"


def _place_of(module: str) -> Path | None:
    """Return where a module is that can be imported here and is of no distribution."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    if spec is None or (spec.origin is None and not spec.submodule_search_locations):
        return None
    return Path(spec.origin or next(iter(spec.submodule_search_locations or ())))
