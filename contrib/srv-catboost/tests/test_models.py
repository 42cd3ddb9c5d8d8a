"""Each kind of model, in each format, gives what CatBoost itself gives, and says so in its metadata."""

from functools import cache

import numpy as np
import pytest
from catboost import CatBoostClassifier, CatBoostRegressor, Pool
from trained import HOMES, KINDS, NUMBERS, homes

from srv import InferenceRequest, ModelSettings, Tensor
from srv.model_settings import ModelParameters
from srv_catboost import CatBoostRuntime

ROWS = np.random.default_rng(1).normal(size=(1000, 5))
ROWS[::3, 2] = np.nan
FORMATS = ["cbm", "json"]


@cache
def trained(kind):
    return KINDS[kind]()


def loaded(folder, estimator, form="cbm", **parameters):
    estimator.save_model(str(folder / f"model.{form}"), format=form)
    given = {"uri": None, "version": None, "content_type": None, "format": None, "extra": {}} | parameters
    runtime = CatBoostRuntime(ModelSettings(name="m", folder=folder, parameters=ModelParameters(**given)))
    runtime.load()
    return runtime


def own(folder, estimator, form):
    """The model of the file, as CatBoost reads it: JSON rounds some numbers."""
    kind = CatBoostClassifier if isinstance(estimator, CatBoostClassifier) else CatBoostRegressor
    return kind().load_model(str(folder / f"model.{form}"), format=form)


def results(estimator, rows):
    pool = Pool(rows)
    found = {
        "predict": estimator.predict(pool),
        "raw": estimator.predict(pool, prediction_type="RawFormulaVal"),
        "leaf": estimator.calc_leaf_indexes(pool),
        "contributions": estimator.get_feature_importance(pool, type="ShapValues"),
    }
    if isinstance(estimator, CatBoostClassifier):
        found["predict_proba"] = estimator.predict_proba(pool)
        found["predict_log_proba"] = estimator.predict_log_proba(pool)
    return {name: np.asarray(values) for name, values in found.items()}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_model_gives_what_catboost_gives(tmp_path, kind, form):
    estimator = trained(kind)
    runtime = loaded(tmp_path, estimator, form)
    expected = results(own(tmp_path, estimator, form), ROWS)
    if form == "cbm":
        assert np.array_equal(expected["predict"], np.asarray(estimator.predict(ROWS)))

    asked = [spec for spec in runtime.outputs if spec.name in expected]
    answer = runtime.predict(InferenceRequest([Tensor("rows", ROWS)], outputs=asked))

    assert {tensor.name for tensor in answer.outputs} == expected.keys()
    declared = {spec.name: spec for spec in runtime.outputs}
    for tensor in answer.outputs:
        wanted = Tensor(tensor.name, expected[tensor.name])
        assert (tensor.datatype, tensor.shape) == (wanted.datatype, wanted.shape)
        assert np.array_equal(tensor.data, wanted.data), tensor.name
        assert declared[tensor.name].datatype == tensor.datatype
        assert declared[tensor.name].shape == (-1, *tensor.shape[1:])


@pytest.mark.parametrize(
    "kind, classes",
    [
        ("booleans", [False, True]),
        ("integers", [5, 6]),
        ("words", ["no", "yes"]),
        ("MultiClass of floats", [0.5, 1.5, 2.5]),
        ("RMSE", None),
    ],
)
def test_the_metadata_tells_the_classes(tmp_path, kind, classes):
    assert loaded(tmp_path, trained(kind)).parameters.get("classes") == classes


@pytest.mark.parametrize(
    "kind, said",
    [
        ("Quantile", "Quantile:alpha=0.3"),
        ("MultiQuantile", "MultiQuantile:alpha=0.1,0.5,0.9"),
        ("YetiRank", "YetiRank"),
        ("sum of models", "RMSE"),
    ],
)
def test_the_metadata_tells_the_loss_function(tmp_path, kind, said):
    assert loaded(tmp_path, trained(kind)).parameters["loss_function"] == said


def test_the_metadata_tells_loss_function_trees_and_features(tmp_path):
    runtime = loaded(tmp_path, homes())
    described = dict(runtime.parameters)
    assert described.pop("catboost")
    assert described == {"loss_function": "RMSE", "trees": 8, "feature_names": list(HOMES.columns)}
    assert {spec.name: spec.datatype for spec in runtime.inputs} == {
        "area": "FP64",
        "city": "BYTES",
        "rooms": "BYTES",
        "balcony": "BYTES",
        "floor": "FP64",
    }


def test_without_outputs_the_answer_is_what_the_estimators_predict_gives(tmp_path):
    runtime = loaded(tmp_path, trained("words"))
    [output] = runtime.predict(InferenceRequest([Tensor("x", ROWS[:3])])).outputs
    assert (output.name, output.datatype) == ("predict", "BYTES")
    assert [each.decode() for each in output.data] == trained("words").predict(ROWS[:3]).tolist()


def test_the_shrunk_model_of_dropped_features_takes_what_it_took_before(tmp_path):
    estimator = trained("RMSE").copy()
    estimator.drop_unused_features()
    runtime = loaded(tmp_path, estimator)
    assert len(estimator.feature_names_) < NUMBERS.shape[1]
    [output] = runtime.predict(InferenceRequest([Tensor("x", ROWS[:, : runtime.inputs[0].shape[1]])])).outputs
    assert np.array_equal(output.data, estimator.predict(ROWS))


@pytest.mark.parametrize("datatype", ["FP64", "FP32", "FP16", "INT64", "INT8", "UINT8"])
def test_numbers_of_any_datatype_go_in(tmp_path, datatype):
    rows = np.array([[1, 0, 2, 3, 1], [0, 1, 0, 1, 2]])
    tensor = Tensor("x", rows, datatype)
    [output] = loaded(tmp_path, trained("RMSE")).predict(InferenceRequest([tensor])).outputs
    assert np.array_equal(output.data, trained("RMSE").predict(rows))


@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_threads_changes_no_answer(tmp_path, threads):
    runtime = loaded(tmp_path, trained("RMSE"), extra={"thread_count": threads})
    [output] = runtime.predict(InferenceRequest([Tensor("x", ROWS)])).outputs
    assert np.array_equal(output.data, trained("RMSE").predict(ROWS))


@pytest.mark.parametrize(
    "rows, outputs, extra, threads",
    [
        (1000, ["predict"], {}, 1),
        (300_000, ["predict"], {}, 3),
        (1, ["predict", "contributions"], {}, 3),
        (300_000, ["contributions"], {"thread_count": 2}, 2),
    ],
    ids=["little", "much", "contributions", "as the settings say"],
)
def test_a_request_takes_the_workers_cores_where_there_is_much_to_compute(
    tmp_path, monkeypatch, rows, outputs, extra, threads
):
    runtime = loaded(tmp_path, trained("RMSE"), extra=extra)
    monkeypatch.setattr(CatBoostRuntime, "cores", property(lambda _: 3))
    assert runtime._threads(rows, outputs) == threads
