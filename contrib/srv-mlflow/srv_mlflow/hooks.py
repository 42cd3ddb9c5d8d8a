"""What srv-mlflow adds beside the runtime: the environment of images, and models of MLflow's registry and runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from srv import hookimpl
from srv.uris import scheme_of

if TYPE_CHECKING:
    from marshmallow import Schema

    from srv.images import ImagePlan  # here, because servers import this module too
    from srv.storage import Fetch


@hookimpl
def srv_settings_schema() -> type[Schema]:
    """Declare where MLflow's registry and runs are."""
    from srv_mlflow.registry import Settings  # here, because it is read where the section is there only

    return Settings


@hookimpl
def srv_storage(uri: str, settings: Mapping[str, Any]) -> Fetch | None:
    """Return what fetches a model of MLflow's registry or of a run."""
    if scheme_of(uri) not in ("models", "runs"):
        return None
    from srv_mlflow.registry import RegistryFetch  # here, because servers without such a URI need none of it

    return RegistryFetch(uri, settings)


@hookimpl
def srv_image_plan(plan: ImagePlan) -> None:
    """Give the image what the MLflow models in it were saved with."""
    from srv_mlflow.image import add_environments  # here, because only commands need it

    add_environments(plan)
