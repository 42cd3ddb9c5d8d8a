"""Environments of models' own processes: which archives the image extracts, and what the image has not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from srv.environments.packed import ENDINGS
from srv.images import ImagePlan
from srv.model_settings import ModelSettings
from srv_dockerfile.dockerignore import Ignore
from srv_dockerfile.layers import can_be_named


def archives_of(model: ModelSettings) -> Iterator[Path]:
    """Yield the archive of the environment that a model's process has; nothing where it has another or none."""
    environment = None if model.process is None else model.process.environment
    if environment is not None and environment.name.lower().endswith(ENDINGS) and not environment.is_dir():
        yield environment


def add_model_environments(plan: ImagePlan) -> None:
    """Have the archives of the folder extracted in layers of their own; note what the image has not."""
    root, ignore = plan.folder.resolve(), Ignore(plan.ignore)
    found: dict[str, None] = {}
    for model in plan.models:
        environment = None if model.process is None else model.process.environment
        if environment is None:
            continue
        place = environment.resolve()
        name = place.relative_to(root).as_posix() if place.is_relative_to(root) else ""
        if not name:
            plan.notes.append(
                f"Model '{model.name}' has its environment outside of the folder, at '{environment}', so the image has it "
                "not. Put an archive of it into the folder, or see to it that the image has it there."
            )
        elif not place.is_file():
            what = "which is a folder" if place.is_dir() else "where nothing is"
            plan.notes.append(
                f"Model '{model.name}' has its environment at '{name}', {what}. An image can have it as an archive by "
                "conda-pack or venv-pack."
            )
        elif ignore.leaves_out(name):
            plan.notes.append(
                f"Model '{model.name}' has its environment at '{name}', which .dockerignore leaves out, so the image has it "
                "not. Take it out there."
            )
        elif can_be_named(name):
            found[name] = None
    plan.model_environments = list(found)
    plan.artifacts = [kept for layer in plan.artifacts if (kept := [name for name in layer if name not in found])]
