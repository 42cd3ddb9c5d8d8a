"""What the image of a folder gets where its models are on the Hugging Face Hub."""

from importlib.metadata import version

import pytest

from srv import ModelSettings
from srv.images import ImagePlan
from srv.model_settings import ModelParameters
from srv_remote_storage import srv_image_plan

PIN = f"huggingface_hub=={version('huggingface_hub')}"


@pytest.mark.parametrize(
    "uri, named, requirements",
    [
        ("hf://org/name", (), [PIN]),
        ("hf://org/name", ("huggingface-hub",), []),
        ("s3://models/iris", (), []),
        ("model.onnx", (), []),
    ],
    ids=["the hub", "the user's own word", "a bucket", "a file"],
)
def test_srv_image_plan_pins_huggingface_hub_where_a_model_is_there_and_nobody_else_did(
    tmp_path, uri, named, requirements
):
    settings = ModelSettings(name="iris", parameters=ModelParameters(uri=uri))
    plan = ImagePlan(tmp_path, "iris", models=(settings,), named=frozenset(named))

    srv_image_plan(plan)

    assert plan.requirements == requirements
