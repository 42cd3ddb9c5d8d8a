"""What the image of a folder gets where CatBoost's models are in it."""

from importlib.metadata import version

import pytest

from srv import ModelSettings
from srv.images import ImagePlan
from srv_catboost.image import srv_image_plan

PIN = f"catboost=={version('catboost')}"


@pytest.mark.parametrize(
    "runtime, named, requirements",
    [
        ("catboost", (), [PIN]),
        ("srv-catboost:catboost", ("numpy",), [PIN]),
        ("catboost", ("catboost",), []),
        ("sklearn", (), []),
    ],
    ids=["plain", "qualified", "the user's own word", "no model of ours"],
)
def test_srv_image_plan_pins_catboost_where_its_models_are_and_nobody_else_did(tmp_path, runtime, named, requirements):
    models = (ModelSettings(name="homes", runtime=runtime),)
    plan = ImagePlan(tmp_path, "homes", models=models, named=frozenset(named))

    srv_image_plan(plan)

    assert plan.requirements == requirements
    assert plan.system_packages == []
