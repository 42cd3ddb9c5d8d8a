"""The image of LightGBM's models: what it needs."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from srv import hookimpl

if TYPE_CHECKING:
    from srv.images import ImagePlan  # here, because servers import this module too

#: LightGBM's wheels leave OpenMP to the system, and slim images have none.
_OPENMP = "libgomp1"


@hookimpl
def srv_image_plan(plan: ImagePlan) -> None:
    """Give the image OpenMP, and the LightGBM of this machine, since a model is read best by the version that wrote it."""
    if not any(model.runtime in ("lightgbm", "srv-lightgbm:lightgbm") for model in plan.models):
        return
    if _OPENMP not in plan.system_packages:
        plan.system_packages.append(_OPENMP)
    if "lightgbm" not in plan.named:
        plan.requirements.append(f"lightgbm=={version('lightgbm')}")
