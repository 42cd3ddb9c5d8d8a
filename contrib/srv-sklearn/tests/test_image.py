"""What the image of a folder gets where scikit-learn's models are in it."""

from importlib.metadata import version

import pytest

from srv import ModelSettings
from srv.images import ImagePlan
from srv_sklearn.image import srv_image_plan

PIN = f"scikit-learn=={version('scikit-learn')}"


@pytest.mark.parametrize(
    "runtime, named, requirements",
    [
        ("sklearn", (), [PIN]),
        ("srv-sklearn:sklearn", ("numpy",), [PIN]),
        ("sklearn", ("scikit-learn",), []),
        ("onnx", (), []),
    ],
    ids=["plain", "qualified", "the user's own word", "no model of ours"],
)
def test_srv_image_plan_pins_scikit_learn_where_its_models_are_and_nobody_else_did(
    tmp_path, runtime, named, requirements
):
    models = (ModelSettings(name="iris", runtime=runtime),)
    plan = ImagePlan(tmp_path, "iris", models=models, named=frozenset(named))

    srv_image_plan(plan)

    assert plan.requirements == requirements
