"""The image of embedding models: what it needs."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from srv import hookimpl

if TYPE_CHECKING:
    from srv.images import ImagePlan  # here, because servers import this module too

#: The libraries whose versions decide about a model's vectors.
LIBRARIES = ("onnxruntime", "tokenizers")


@hookimpl
def srv_image_plan(plan: ImagePlan) -> None:
    """Give the image the libraries of this machine, since another tokenizers or onnxruntime may give other vectors."""
    if not any(model.runtime in ("embeddings", "srv-embeddings:embeddings") for model in plan.models):
        return
    # An onnxruntime for GPUs is the user's word, and the image has no second one beside it.
    has_other = any(name.startswith("onnxruntime") for name in plan.named)
    for library in LIBRARIES:
        requirement = f"{library}=={version(library)}"
        is_chosen = library in plan.named or (library == "onnxruntime" and has_other)
        if not is_chosen and requirement not in plan.requirements:  # where srv-onnx has put it there too
            plan.requirements.append(requirement)
