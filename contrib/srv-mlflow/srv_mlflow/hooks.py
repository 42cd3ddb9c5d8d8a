"""What srv-mlflow adds beside the runtime: the environment of images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from srv import hookimpl

if TYPE_CHECKING:
    from srv.images import ImagePlan  # here, because servers import this module too


@hookimpl
def srv_image_plan(plan: ImagePlan) -> None:
    """Give the image what the MLflow models in it were saved with."""
    from srv_mlflow.image import add_environments  # here, because only commands need it

    add_environments(plan)
