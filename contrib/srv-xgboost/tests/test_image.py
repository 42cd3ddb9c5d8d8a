"""What the image of a folder gets where XGBoost's models are in it."""

from importlib.metadata import PackageNotFoundError, version

import pytest
import xgboost

from srv import ModelSettings
from srv.images import ImagePlan
from srv_xgboost.image import srv_image_plan

PIN = f"xgboost-cpu=={xgboost.__version__}"


@pytest.mark.parametrize(
    "runtime, named, requirements, notes",
    [
        ("xgboost", (), [PIN], 0),
        ("srv-xgboost:xgboost", ("numpy",), [PIN], 0),
        ("xgboost", ("xgboost-cpu",), [], 0),
        ("xgboost", ("xgboost",), [], 1),
        ("sklearn", (), [], 0),
    ],
    ids=["plain", "qualified", "the user's own word", "the user's own word for the large one", "no model of ours"],
)
def test_srv_image_plan_pins_xgboost_where_its_models_are_and_nobody_else_did(
    tmp_path, runtime, named, requirements, notes
):
    plan = ImagePlan(tmp_path, "iris", models=(ModelSettings(name="m", runtime=runtime),), named=frozenset(named))

    srv_image_plan(plan)

    assert plan.requirements == requirements
    assert len(plan.notes) == notes


def test_the_image_gets_the_small_build_where_the_large_one_is_installed(tmp_path, monkeypatch):
    def installed(name):
        if name == "xgboost-cpu":
            raise PackageNotFoundError(name)
        return version("xgboost-cpu")

    monkeypatch.setattr("srv_xgboost.image.version", installed)
    plan = ImagePlan(tmp_path, "iris", models=(ModelSettings(name="m", runtime="xgboost"),))
    srv_image_plan(plan)
    assert plan.requirements == [PIN]
