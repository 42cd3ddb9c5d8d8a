"""What the image of a folder gets where MLflow's models are in it."""

from importlib.metadata import version

import pytest

from srv import ModelSettings
from srv.images import ImagePlan
from srv_mlflow.hooks import srv_image_plan

PIN = f"mlflow-skinny=={version('mlflow-skinny')}"
CONDA = "dependencies:\n- python=3.12.4\n- pip<=24\n- pip:\n  - scikit-learn\n"


def wine(tmp_path, name, requirements=None, runtime="mlflow"):
    folder = tmp_path / name if name else tmp_path
    folder.mkdir(exist_ok=True)
    (folder / "MLmodel").write_text("flavors: {}")
    if requirements is not None:
        (folder / "requirements.txt").write_text(requirements)
    return ModelSettings(name=name or "wine", runtime=runtime, folder=folder)


def planned(tmp_path, *models, **given):
    plan = ImagePlan(tmp_path, "wine", models=models, **given)
    srv_image_plan(plan)
    return plan


@pytest.mark.parametrize("runtime", ["mlflow", "srv-mlflow:mlflow"])
def test_srv_image_plan_takes_the_requirements_of_the_models(tmp_path, runtime):
    model = wine(tmp_path, "red", "mlflow==3.1.0\nscikit-learn==1.6.1 # comment\n\n# nothing\n", runtime)
    assert planned(tmp_path, model).requirements == ["mlflow==3.1.0", "scikit-learn==1.6.1"]


def test_a_model_without_requirements_gets_the_mlflow_of_this_machine(tmp_path):
    assert planned(tmp_path, wine(tmp_path, "red")).requirements == [PIN]


def test_other_models_get_nothing(tmp_path):
    assert planned(tmp_path, ModelSettings(name="x", runtime="onnx")).requirements == []


def test_what_the_users_own_file_names_holds_and_is_told(tmp_path):
    plan = planned(tmp_path, wine(tmp_path, "red", "mlflow==3.1.0\nnumpy==1.26"), named=frozenset({"numpy"}))
    assert plan.requirements == ["mlflow==3.1.0"]
    assert plan.notes == ["'red' was saved with 'numpy==1.26', and the image has numpy as said elsewhere."]


def test_models_that_need_different_versions_are_told(tmp_path):
    models = [wine(tmp_path, "red", "mlflow==3.1.0\nnumpy==2.0"), wine(tmp_path, "white", "mlflow==3.1.0\nnumpy==1.26")]
    plan = planned(tmp_path, *models)
    assert plan.requirements == ["mlflow==3.1.0", "numpy==2.0"]
    assert plan.notes == ["'white' was saved with 'numpy==1.26', and the image has numpy as said elsewhere."]


def test_options_in_a_models_requirements_are_told(tmp_path):
    plan = planned(tmp_path, wine(tmp_path, "red", "mlflow\n-c constraints.txt"))
    assert plan.requirements == ["mlflow"]
    assert "The line '-c constraints.txt' in requirements.txt of 'red'" in plan.notes[0]


@pytest.mark.parametrize(
    "conda, conda_file, base",
    [
        (CONDA, None, "python:3.12-slim"),
        (CONDA + "- libgomp\n", "conda.yaml", "python:3.11-slim"),
        ("dependencies:\n- pip\n", "conda.yaml", "python:3.11-slim"),
    ],
    ids=["Python and pip", "more", "no Python"],
)
def test_the_environment_of_a_served_model_comes_by_pip_where_conda_adds_nothing(tmp_path, conda, conda_file, base):
    (tmp_path / "conda.yaml").write_text(conda)
    model = wine(tmp_path, "", "mlflow==3.1.0")
    given = {"conda_file": "conda.yaml", "requirements_files": ["requirements.txt"], "named": frozenset({"mlflow"})}
    plan = planned(tmp_path, model, **given)
    assert (plan.conda_file, plan.base_image, plan.requirements) == (conda_file, base, [])
