"""The image of models on the Hugging Face Hub: what it needs beside srv-storage."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from srv.images import ImagePlan

_HUB = "huggingface_hub"


def add_hub(plan: ImagePlan) -> None:
    """Give the image the huggingface_hub of this machine where a model is fetched from the hub."""
    uris = (model.parameters.uri or "" for model in plan.models)
    if "huggingface-hub" in plan.named or not any(uri.lower().startswith("hf://") for uri in uris):
        return
    try:
        plan.requirements.append(f"{_HUB}=={version(_HUB)}")
    except PackageNotFoundError:
        plan.requirements.append(_HUB)
