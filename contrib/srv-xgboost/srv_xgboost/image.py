"""The image of XGBoost's models: what it needs."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from srv import hookimpl

if TYPE_CHECKING:
    from srv.images import ImagePlan  # here, because servers import this module too

_BOTH = (
    "The requirements name xgboost, and srv-xgboost brings xgboost-cpu, which has the same files: name xgboost-cpu there "
    "instead, which is an eighth of the size."
)


@hookimpl
def srv_image_plan(plan: ImagePlan) -> None:
    """Give the image the XGBoost of this machine, without what graphics cards need: models are read best by their version."""
    if not any(model.runtime in ("xgboost", "srv-xgboost:xgboost") for model in plan.models):
        return
    if "xgboost" in plan.named:
        plan.notes.append(_BOTH)
    elif "xgboost-cpu" not in plan.named:
        plan.requirements.append(f"xgboost-cpu=={_installed()}")


def _installed() -> str:
    """Return the version that is installed here, of either build; both have the same versions."""
    try:
        return version("xgboost-cpu")
    except PackageNotFoundError:
        return version("xgboost")
