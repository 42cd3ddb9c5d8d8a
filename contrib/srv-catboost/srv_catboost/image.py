"""The image of CatBoost's models: what it needs."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from srv import hookimpl

if TYPE_CHECKING:
    from srv.images import ImagePlan  # here, because servers import this module too


@hookimpl
def srv_image_plan(plan: ImagePlan) -> None:
    """Give the image the CatBoost of this machine. Its wheel needs no Debian package: it brings its own OpenMP."""
    models = [model for model in plan.models if model.runtime in ("catboost", "srv-catboost:catboost")]
    if models and "catboost" not in plan.named:
        plan.requirements.append(f"catboost=={version('catboost')}")
