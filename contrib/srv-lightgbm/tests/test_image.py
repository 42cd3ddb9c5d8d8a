"""What the image of a folder gets where LightGBM's models are in it."""

from importlib.metadata import version

import pytest

from srv import ModelSettings
from srv.images import ImagePlan
from srv_lightgbm.image import srv_image_plan

PIN = f"lightgbm=={version('lightgbm')}"


@pytest.mark.parametrize(
    "runtime, named, requirements, packages",
    [
        ("lightgbm", (), [PIN], ["libgomp1"]),
        ("srv-lightgbm:lightgbm", ("numpy",), [PIN], ["libgomp1"]),
        ("lightgbm", ("lightgbm",), [], ["libgomp1"]),
        ("sklearn", (), [], []),
    ],
    ids=["plain", "qualified", "the user's own word", "no model of ours"],
)
def test_srv_image_plan_pins_lightgbm_and_brings_openmp_where_its_models_are(
    tmp_path, runtime, named, requirements, packages
):
    plan = ImagePlan(tmp_path, "iris", models=(ModelSettings(name="m", runtime=runtime),), named=frozenset(named))

    srv_image_plan(plan)
    srv_image_plan(plan.__class__(tmp_path, "iris"))

    assert plan.requirements == requirements
    assert plan.system_packages == packages
