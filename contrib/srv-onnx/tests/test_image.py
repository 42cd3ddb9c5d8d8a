"""What the image of a folder gets where ONNX models are in it."""

from importlib.metadata import version

import pytest

from srv import ModelSettings
from srv.images import ImagePlan
from srv_onnx.image import srv_image_plan

PIN = f"onnxruntime=={version('onnxruntime')}"


@pytest.mark.parametrize(
    "runtime, named, requirements",
    [
        ("onnx", (), [PIN]),
        ("srv-onnx:onnx", ("numpy",), [PIN]),
        ("onnx", ("onnxruntime",), []),
        ("onnx", ("onnxruntime-gpu",), []),
        ("sklearn", (), []),
    ],
    ids=["plain", "qualified", "the user's own word", "the build for graphics cards", "no model of ours"],
)
def test_srv_image_plan_pins_onnxruntime_where_its_models_are_and_nobody_else_did(
    tmp_path, runtime, named, requirements
):
    models = (ModelSettings(name="net", runtime=runtime),)
    plan = ImagePlan(tmp_path, "net", models=models, named=frozenset(named))

    srv_image_plan(plan)

    assert plan.requirements == requirements
