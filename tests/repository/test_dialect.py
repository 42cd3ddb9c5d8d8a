"""Repositories of MLServer's: keys of its files, its own runtimes, and a model that its variables name alone."""

import json

import pytest

from srv.repository import Repository
from srv.repository.foreign_classes import ForeignClasses, native_runtime
from srv.settings import read_server_settings
from srv.settings.dialect import Dialect

FILE = "model-settings.json"
SKLEARN = "mlserver_sklearn.SKLearnModel"


@pytest.fixture
def found(tmp_path):
    """Read the models of a folder with these settings, by the file's path, as a server with srv-mlserver does."""

    def found(files, *, environ=None, adopts=True, prefer_native=False, runtimes=("sklearn",)):
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        settings = read_server_settings(tmp_path, environ=environ or {}, plugin_sections=("mlserver",))
        return Repository(
            settings,
            {"model.joblib": ["sklearn"]},
            code=["model.joblib"],
            foreign=ForeignClasses(adopts, prefer_native, runtimes),
            dialect=Dialect(settings.dialect, installed=True),
        ).models()

    return found


@pytest.fixture
def importable(tmp_path, monkeypatch):
    """Make a package importable that is called as one of MLServer's."""
    (tmp_path / "site" / "mlserver_sklearn").mkdir(parents=True)
    (tmp_path / "site" / "mlserver_sklearn" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))


def test_keys_without_effect_are_one_note_that_names_their_files(found, tmp_path):
    outcome = found(
        {
            f"a/{FILE}": {"implementation": "a.A", "versions": ["1"], "parallel_workers": 1},
            f"b/{FILE}": {"implementation": "b.B", "parallel_workers": "2", "max_batch_size": "4"},
        }
    )

    assert [(model.name, model.max_batch_size) for model in outcome.models] == [("a", 0), ("b", 4)]
    a, b = (f"{tmp_path}/{name}/{FILE}" for name in "ab")
    assert [*outcome.notes] == [
        (
            f"These of MLServer's settings have no effect here: 'versions' in {a}; 'parallel_workers' (srv has 'workers' in "
            f"settings.json) in {a}, {b}."
        )
    ]


def test_a_runtime_of_mlservers_is_served_as_it_is_where_it_is_installed(found, importable):
    (model,) = found({f"a/{FILE}": {"implementation": SKLEARN}}).models
    assert (model.implementation, model.runtime) == (SKLEARN, None)


@pytest.mark.parametrize(
    "adopts, words", [(True, "`pip install mlserver-sklearn`"), (False, "`pip install srv-mlserver mlserver-sklearn`")]
)
def test_a_runtime_of_mlservers_that_is_not_installed_is_told_with_both_ways(found, adopts, words):
    (failure,) = found({f"a/{FILE}": {"implementation": SKLEARN}}, adopts=adopts).failures

    assert 'Write "runtime": "sklearn" in its place' in failure.reason
    assert words in failure.reason


def test_the_native_runtime_is_taken_where_that_is_preferred_and_installed(found, importable):
    files = {f"a/{FILE}": {"implementation": SKLEARN, "parameters": {"uri": "./model.joblib"}}, "a/model.joblib": ""}

    (model,) = found(files, prefer_native=True).models
    assert (model.implementation, model.runtime, model.parameters.uri) == (None, "sklearn", "./model.joblib")

    (model,) = found(files, prefer_native=True, runtimes=()).models
    assert (model.implementation, model.runtime) == (SKLEARN, None)


def test_native_runtime_of_a_class_is_told_unless_the_folder_has_a_module_of_that_name(tmp_path):
    assert native_runtime("mlserver_xgboost.XGBoostModel") == "xgboost"
    assert native_runtime("models.Mine") is native_runtime(None) is native_runtime("mlserver.MLModel") is None
    (tmp_path / "mlserver_xgboost.py").write_text("")
    assert native_runtime("mlserver_xgboost.XGBoostModel", [tmp_path]) is None


ALONE = {
    "MLSERVER_MODEL_NAME": "income",
    "MLSERVER_MODEL_IMPLEMENTATION": "models.Income",
    "MLSERVER_MODEL_VERSION": "v2",
    "MLSERVER_MODEL_PARALLEL_WORKERS": "1",
}


def test_a_model_of_the_environment_is_served_where_no_folder_has_settings(found, tmp_path):
    outcome = found({"model.joblib": ""}, environ={**ALONE, "MLSERVER_MODEL_URI": str(tmp_path)})

    (model,) = outcome.models
    assert (model.name, model.version, model.implementation) == ("income", "v2", "models.Income")
    assert (model.parameters.uri, model.folder) == (str(tmp_path), tmp_path)
    assert model.source == "the environment (MLSERVER_MODEL_…)"
    assert outcome.failures == ()


def test_a_file_that_is_recognised_is_the_model_of_the_environment_where_that_names_no_class(found, tmp_path):
    environ = {"MLSERVER_MODEL_NAME": "income", "MLSERVER_MODEL_URI": str(tmp_path)}

    (model,) = found({"model.joblib": ""}, environ=environ).models

    assert (model.name, model.runtime, model.implementation) == ("income", "sklearn", None)


def test_where_a_folder_has_settings_the_environment_gives_defaults_only(found):
    outcome = found({f"a/{FILE}": {}, f"b/{FILE}": {"implementation": "b.B"}}, environ=ALONE)

    assert [(each.name, each.version, each.implementation) for each in outcome.models] == [
        ("a", None, "models.Income"),
        ("b", None, "b.B"),
    ]


def test_a_broken_setting_of_the_environment_is_told_as_of_the_environment(found):
    environ = {
        **ALONE,
        "MLSERVER_MODEL_INPUTS": '[{"name": "x", "datatype": "FP32"}, {"name": "x", "datatype": "FP32"}]',
    }

    (failure,) = found({}, environ=environ).failures

    assert str(failure.error).startswith("the environment (MLSERVER_MODEL_…): 'inputs' has two tensors of the name 'x'")
