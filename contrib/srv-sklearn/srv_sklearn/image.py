"""The image of scikit-learn's models: what it needs."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from srv import hookimpl

if TYPE_CHECKING:
    from srv.images import ImagePlan  # here, because servers import this module too


@hookimpl
def srv_image_plan(plan: ImagePlan) -> None:
    """Give the image the scikit-learn of this machine, since a model is read best by the version that wrote it."""
    models = [model for model in plan.models if model.runtime in ("sklearn", "srv-sklearn:sklearn")]
    if models and "scikit-learn" not in plan.named:
        plan.requirements.append(f"scikit-learn=={version('scikit-learn')}")
