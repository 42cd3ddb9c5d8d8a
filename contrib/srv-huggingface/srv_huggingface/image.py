"""The image of transformers models: what it needs."""

from __future__ import annotations

from importlib.metadata import distributions, version
from typing import TYPE_CHECKING

from srv import hookimpl

if TYPE_CHECKING:
    from srv.images import ImagePlan  # here, because servers import this module too

#: What the models are best read by: the releases of the machine where they were tried. Pillow is there for images only.
_PINNED = ("transformers", "torch", "pillow")


@hookimpl
def srv_image_plan(plan: ImagePlan) -> None:
    """Give the image this machine's transformers, torch and Pillow, since other releases read some models otherwise."""
    models = [model for model in plan.models if model.runtime in ("huggingface", "srv-huggingface:huggingface")]
    if models:
        here = [name for name in _PINNED if name not in plan.named and any(distributions(name=name))]
        plan.requirements += [f"{name}=={_plain(version(name))}" for name in here]


def _plain(version: str) -> str:
    """Return a version without the word for its build, such as +cpu, which an index may not have."""
    return version.partition("+")[0]
