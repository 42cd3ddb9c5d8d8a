"""What the image of a folder gets where models of transformers are in it."""

from importlib.metadata import version

import pytest

from srv import ModelSettings
from srv.images import ImagePlan
from srv_huggingface.image import srv_image_plan

TRANSFORMERS = f"transformers=={version('transformers')}"
PILLOW = f"pillow=={version('pillow')}"
TORCH = f"torch=={version('torch').partition('+')[0]}"


@pytest.mark.parametrize(
    "runtime, named, requirements",
    [
        ("huggingface", (), [TRANSFORMERS, TORCH, PILLOW]),
        ("srv-huggingface:huggingface", ("numpy",), [TRANSFORMERS, TORCH, PILLOW]),
        ("huggingface", ("torch", "pillow"), [TRANSFORMERS]),
        ("onnx", (), []),
    ],
    ids=["plain", "qualified", "the user's own", "no model of ours"],
)
def test_srv_image_plan_pins_what_reads_the_models_where_nobody_else_did(tmp_path, runtime, named, requirements):
    plan = ImagePlan(tmp_path, "zoo", models=(ModelSettings(name="m", runtime=runtime),), named=frozenset(named))

    srv_image_plan(plan)

    assert plan.requirements == requirements
