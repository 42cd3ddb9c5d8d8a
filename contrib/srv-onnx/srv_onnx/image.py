"""The image of ONNX models: what it needs."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from srv import hookimpl

if TYPE_CHECKING:
    from srv.images import ImagePlan  # here, because servers import this module too


@hookimpl
def srv_image_plan(plan: ImagePlan) -> None:
    """Give the image the onnxruntime of this machine, with which the models were tried."""
    models = [model for model in plan.models if model.runtime in ("onnx", "srv-onnx:onnx")]
    if models and not plan.named & {"onnxruntime", "onnxruntime-gpu"}:
        plan.requirements.append(f"onnxruntime=={version('onnxruntime')}")
