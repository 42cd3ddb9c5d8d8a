"""Storages for srv: pip install it, and a model's `parameters.uri` may begin with `s3://`, `gs://`, `az://` or `hf://`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from srv import hookimpl

if TYPE_CHECKING:
    from srv.images import ImagePlan
    from srv.storage import Fetch

_BUCKETS = ("s3", "gs", "az", "abfs", "abfss")


@hookimpl
def srv_storage(uri: str) -> Fetch | None:
    """Return what fetches a URI of one of these schemes. Raises FetchFailed where the URI cannot be meant so."""
    scheme = uri.partition("://")[0].lower()
    if scheme in _BUCKETS:
        from srv_remote_storage.buckets import BucketFetch  # here, because servers without such a URI need none of it

        return BucketFetch(uri)
    if scheme == "hf":
        from srv_remote_storage.hub import HubFetch  # here, as above

        return HubFetch(uri)
    return None


@hookimpl
def srv_image_plan(plan: ImagePlan) -> None:
    """Give the image what models on the Hugging Face Hub need; srv itself adds this package where a model needs it."""
    from srv_remote_storage.image import add_hub  # here, because only commands need it

    add_hub(plan)
