"""The environment of an image with models of MLflow: what each model's own requirements.txt says."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srv.errors import quoted

if TYPE_CHECKING:
    from srv.images import ImagePlan

REQUIREMENTS, CONDA, FILE = "requirements.txt", "conda.yaml", "MLmodel"
_RUNTIMES = ("mlflow", "srv-mlflow:mlflow")
_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)")
_PIP = re.compile(r"pip\s*([<>=!~].*)?")
_PYTHON = re.compile(r"python\s*={1,2}\s*(3\.\d+)[\d.]*")


def add_environments(plan: ImagePlan) -> None:
    """Add the requirements of models below the folder; for a model that is the folder, take pip instead of conda.

    MLflow writes a conda.yaml beside each requirements.txt, which says the same and the version of Python. One that asks
    conda for more stays the image's environment. Without any requirements the image gets the MLflow of this machine.
    """
    folders = {_folder_of(model.artifact_root) for model in plan.models if model.runtime in _RUNTIMES}
    if not folders:
        return
    root = plan.folder.resolve()
    if root in folders:
        _take_pip(plan)
    named = set(plan.named)
    for folder in sorted(folders - {root}):
        _add(plan, folder, named)
    if not {"mlflow", "mlflow-skinny"} & named:
        plan.requirements.append(f"mlflow-skinny=={version('mlflow-skinny')}")


def _folder_of(artifact: Path) -> Path:
    artifact = artifact.resolve()
    return artifact.parent if artifact.is_file() else artifact


def _take_pip(plan: ImagePlan) -> None:
    """Make the environment by pip where the conda file of the served folder asks conda for Python and pip only."""
    if plan.conda_file != CONDA or REQUIREMENTS not in plan.requirements_files:
        return
    python = _only_python(plan.folder / CONDA)
    if python is None:
        return
    plan.conda_file, plan.conda_specs = None, []
    plan.base_image = f"python:{python}-slim"
    plan.notes.append(
        f"The environment comes from {REQUIREMENTS} alone, because {CONDA} asks conda for Python and pip only."
    )


def _only_python(file: Path) -> str | None:
    """Return the Python that a conda file asks for, such as `3.11`; None where it asks conda for other packages too."""
    import yaml

    document: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    python = None
    for each in document.get("dependencies", []):
        if isinstance(each, dict) and [*each] == ["pip"]:
            continue
        found = _PYTHON.fullmatch(str(each).strip())
        if found is not None:
            python = found[1]
        elif _PIP.fullmatch(str(each).strip()) is None:
            return None
    return python


def _add(plan: ImagePlan, folder: Path, named: set[str]) -> None:
    """Add the requirements of one model that nobody has named: the user's own file, or another model."""
    file = folder / REQUIREMENTS
    if not file.is_file():
        return
    for line in file.read_text(encoding="utf-8").splitlines():
        requirement = re.sub(r"(^|\s)#.*$", "", line).strip()
        found = _NAME.match(requirement)
        if requirement and found is None:
            plan.notes.append(
                f"The line {quoted(requirement)} in {REQUIREMENTS} of {quoted(folder.name)} is not in the image's environment. "
                f"Write a {REQUIREMENTS} into the served folder where models need it."
            )
        if found is None:
            continue
        name = re.sub(r"[-_.]+", "-", found[1]).lower()
        if name in named and requirement not in plan.requirements:
            plan.notes.append(
                f"{quoted(folder.name)} was saved with {quoted(requirement)}, and the image has {name} as said elsewhere."
            )
        elif name not in named:
            named.add(name)
            plan.requirements.append(requirement)
