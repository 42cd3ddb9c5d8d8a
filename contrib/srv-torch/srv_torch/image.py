"""The image of PyTorch's models: what it needs."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from srv import hookimpl

if TYPE_CHECKING:
    from srv.images import ImagePlan  # here, because servers import this module too


@hookimpl
def srv_image_plan(plan: ImagePlan) -> None:
    """Give the image the torch of this machine, because a program is read best by the version that wrote it."""
    models = [model for model in plan.models if model.runtime in ("torch", "srv-torch:torch")]
    if models and "torch" not in plan.named:
        # Without "+cpu" or "+cu126", which say for which kind of machine this one was built.
        plan.requirements.append(f"torch=={version('torch').partition('+')[0]}")
