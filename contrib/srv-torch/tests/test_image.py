"""What the image of a folder gets where torch's models are in it."""

from importlib.metadata import version

import pytest

from srv import ModelSettings
from srv.images import ImagePlan
from srv_torch.image import srv_image_plan

PIN = f"torch=={version('torch').partition('+')[0]}"


@pytest.mark.parametrize(
    "runtime, named, requirements",
    [
        ("torch", (), [PIN]),
        ("srv-torch:torch", ("numpy",), [PIN]),
        ("torch", ("torch",), []),
        ("onnx", (), []),
    ],
    ids=["plain", "qualified", "the user's own word", "no model of ours"],
)
def test_srv_image_plan_pins_torch_where_its_models_are_and_nobody_else_did(tmp_path, runtime, named, requirements):
    models = (ModelSettings(name="net", runtime=runtime),)
    plan = ImagePlan(tmp_path, "net", models=models, named=frozenset(named))

    srv_image_plan(plan)

    assert plan.requirements == requirements
