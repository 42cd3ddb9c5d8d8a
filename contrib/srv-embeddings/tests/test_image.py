"""What the image of a folder gets where embedding models are in it."""

from importlib.metadata import version

import pytest

from srv import ModelSettings
from srv.images import ImagePlan
from srv_embeddings.image import srv_image_plan

ONNXRUNTIME, TOKENIZERS = (f"{name}=={version(name)}" for name in ("onnxruntime", "tokenizers"))


@pytest.mark.parametrize(
    "runtime, named, requirements",
    [
        ("embeddings", (), [ONNXRUNTIME, TOKENIZERS]),
        ("srv-embeddings:embeddings", ("numpy",), [ONNXRUNTIME, TOKENIZERS]),
        ("embeddings", ("tokenizers",), [ONNXRUNTIME]),
        ("embeddings", ("onnxruntime-gpu",), [TOKENIZERS]),
        ("onnx", (), []),
    ],
    ids=["plain", "qualified", "the user's own word", "the user's own onnxruntime", "no model of ours"],
)
def test_srv_image_plan_pins_the_libraries_that_decide_about_vectors(tmp_path, runtime, named, requirements):
    models = (ModelSettings(name="m", runtime=runtime),)
    plan = ImagePlan(tmp_path, "m", models=models, named=frozenset(named))

    srv_image_plan(plan)

    assert plan.requirements == requirements


def test_srv_image_plan_takes_no_requirement_twice(tmp_path):
    plan = ImagePlan(tmp_path, "m", models=(ModelSettings(name="m", runtime="embeddings"),), requirements=[ONNXRUNTIME])

    srv_image_plan(plan)

    assert plan.requirements == [ONNXRUNTIME, TOKENIZERS]
