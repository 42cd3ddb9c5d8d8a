"""What each kind of model gives is what LightGBM itself gives, to the last bit, on 1,200 rows with missing values."""

import lightgbm
import numpy as np
import pytest
from marshmallow import ValidationError

from srv import Spec
from srv.errors import SrvError

FEW = {"n_estimators": 6, "num_leaves": 7, "n_jobs": 1, "verbose": -1}


def targets(rows):
    number = np.nan_to_num(rows[:, 0] + rows[:, 1])
    return {
        "number": number,
        "positive": np.abs(number),
        "two": (number > 0).astype(int),
        "three": np.digitize(number, [-0.5, 0.5]),
        "part": 1 / (1 + np.exp(-number)),
    }


ESTIMATORS = {
    "binary": (lambda: lightgbm.LGBMClassifier(**FEW), "two"),
    "multiclass": (lambda: lightgbm.LGBMClassifier(**FEW), "three"),
    "one against all": (lambda: lightgbm.LGBMClassifier(**FEW, objective="multiclassova"), "three"),
    "regressor": (lambda: lightgbm.LGBMRegressor(**FEW), "number"),
    "quantile": (lambda: lightgbm.LGBMRegressor(**FEW, objective="quantile", alpha=0.9), "number"),
    "poisson": (lambda: lightgbm.LGBMRegressor(**FEW, objective="poisson"), "positive"),
    "cross entropy": (lambda: lightgbm.LGBMRegressor(**FEW, objective="cross_entropy"), "part"),
    "dart": (lambda: lightgbm.LGBMRegressor(**FEW, boosting_type="dart"), "number"),
    "forest": (
        lambda: lightgbm.LGBMClassifier(**FEW, boosting_type="rf", bagging_freq=1, bagging_fraction=0.7),
        "three",
    ),
    "linear trees": (lambda: lightgbm.LGBMRegressor(**FEW, linear_tree=True), "number"),
    "one tree": (lambda: lightgbm.LGBMRegressor(**FEW | {"n_estimators": 1}), "number"),
}
PROBABILITIES = {"binary", "multiclass", "one against all", "forest"}


@pytest.mark.parametrize("file", ["model.txt", "model.lgb"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_model_gives_what_it_gives_in_python(load, rows, name, file):
    make, target = ESTIMATORS[name]
    own = make().fit(rows, targets(rows)[target])
    booster = own.booster_

    model = load(own, file)

    answers = model.ask(rows, *(spec.name for spec in model.runtime.outputs))
    assert np.array_equal(answers["predict"], booster.predict(rows))
    assert np.array_equal(answers["raw_score"], booster.predict(rows, raw_score=True))
    assert np.array_equal(answers["leaf"], booster.predict(rows, pred_leaf=True).reshape(len(rows), -1))
    assert ("predict_proba" in answers) == (name in PROBABILITIES)
    if name in PROBABILITIES:
        assert np.array_equal(answers["predict_proba"], own.predict_proba(rows))
    if name != "linear trees":
        expected = booster.predict(rows, pred_contrib=True)
        assert np.array_equal(answers["contributions"].reshape(len(rows), -1), expected)
        if target == "three":
            assert answers["contributions"].shape == (len(rows), 3, 6)
    for spec in model.runtime.outputs:
        assert spec == Spec(spec.datatype, (-1, *answers[spec.name].shape[1:]), name=spec.name)
        assert model.ask(rows[:1], spec.name)[spec.name].shape == (1, *answers[spec.name].shape[1:])


def test_lightgbm_writes_nothing_when_a_model_of_linear_trees_is_loaded(load, rows, capfd):
    own = lightgbm.LGBMRegressor(**FEW, linear_tree=True).fit(rows, targets(rows)["number"])
    capfd.readouterr()

    model = load(own)

    assert "contributions" not in [spec.name for spec in model.runtime.outputs]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("target", ["two", "three"])
@pytest.mark.parametrize("texts", [True, False], ids=["texts", "integers"])
def test_the_settings_name_the_classes_of_a_classifier(load, rows, target, texts):
    codes = targets(rows)[target]
    labels = np.array(["cheap", "dear", "middle"] if texts else [10, 20, 30])[codes]
    own = lightgbm.LGBMClassifier(**FEW).fit(rows, labels)

    model = load(own, extra={"classes": own.classes_.tolist()})

    answers = model.ask(rows, "predict", "predict_proba")
    assert answers["predict"].tolist() == [each.encode() if texts else each for each in own.predict(rows).tolist()]
    assert np.array_equal(answers["predict_proba"], own.predict_proba(rows))
    assert model.runtime.parameters["classes"] == own.classes_.tolist()
    assert model.runtime.outputs[0] == Spec("BYTES" if texts else "INT64", (-1,), name="predict")


@pytest.mark.parametrize(
    "target, said",
    [("two", "names 3 classes, and the model has 2 classes"), ("number", "and the model has no classes")],
)
def test_classes_that_the_model_lacks_do_not_load(load, rows, target, said):
    kind = lightgbm.LGBMClassifier if target == "two" else lightgbm.LGBMRegressor
    with pytest.raises(SrvError, match=said):
        load(kind(**FEW).fit(rows, targets(rows)[target]), extra={"classes": ["a", "b", "c"]})


def test_a_ranker_gives_scores(load, rows):
    own = lightgbm.LGBMRanker(**FEW).fit(rows, targets(rows)["three"], group=[30] * 40)
    assert np.array_equal(load(own).ask(rows)["predict"], own.predict(rows))


def test_an_objective_of_the_users_own_gives_raw_scores(load, rows):
    def squares(_, data):
        return _ - data.get_label(), np.ones(len(_))

    data = lightgbm.Dataset(rows, targets(rows)["number"])
    own = lightgbm.train({"objective": squares, "verbose": -1, "num_threads": 1}, data, 5)
    model = load(own)
    assert np.array_equal(model.ask(rows)["predict"], own.predict(rows))
    assert model.runtime.parameters.get("objective") in (None, "custom")


def test_early_stopping_counts_as_in_python(load, rows):
    two = targets(rows)["two"]
    data = lightgbm.Dataset(rows[:900], two[:900])
    other = lightgbm.Dataset(rows[900:], 1 - two[900:], reference=data)
    settings = {"objective": "binary", "verbose": -1, "num_threads": 1}
    stopping = [lightgbm.early_stopping(3, verbose=False)]
    own = lightgbm.train(settings, data, 50, [other], callbacks=stopping, keep_training_booster=True)
    assert own.best_iteration < own.current_iteration()
    assert np.array_equal(load(own).ask(rows)["predict"], own.predict(rows))


@pytest.mark.parametrize("datatype", ["FP64", "FP32", "FP16", "INT64", "INT32", "INT16", "INT8", "UINT64", "UINT8"])
def test_any_datatype_of_numbers_goes_in(load, rows, datatype):
    own = lightgbm.LGBMRegressor(**FEW).fit(rows, targets(rows)["number"])
    some = [[1, 2, 3, 4, 5], [5, 4, 3, 2, 0]]
    answers = load(own).ask(some, "predict", "leaf", datatype=datatype)
    assert np.array_equal(answers["predict"], own.predict(np.array(some, dtype=float)))


def test_metadata_comes_from_the_file(load, rows):
    runtime = load(lightgbm.LGBMClassifier(**FEW).fit(rows, targets(rows)["two"])).runtime
    assert runtime.inputs == [Spec("FP64", (-1, 5), name="input")]
    assert runtime.outputs == [
        Spec("FP64", (-1,), name="predict"),
        Spec("FP64", (-1, 2), name="predict_proba"),
        Spec("FP64", (-1,), name="raw_score"),
        Spec("INT32", (-1, 6), name="leaf"),
        Spec("FP64", (-1, 6), name="contributions"),
    ]
    assert runtime.parameters == {"lightgbm": lightgbm.__version__, "objective": "binary"}


def test_what_another_model_has_set_in_numpy_changes_no_answer(load, rows):
    own = lightgbm.LGBMClassifier(**FEW).fit(rows, targets(rows)["three"])
    model = load(own, extra={"classes": [0, 1, 2]})
    large = np.array([[1e300, 1e-300, np.inf, -np.inf, 3.0]])
    with np.errstate(all="raise"):
        assert np.array_equal(model.ask(large)["predict"], own.predict(large))


@pytest.mark.parametrize("classes", [["a", 1], [[1], [2]], ["a", "a"], []])
def test_classes_of_several_kinds_or_twice_are_refused(load, rows, classes):
    with pytest.raises(ValidationError, match="all of one kind and each of them once"):
        load(lightgbm.LGBMClassifier(**FEW).fit(rows, targets(rows)["two"]), extra={"classes": classes})


def test_few_rows_take_one_thread_and_many_take_the_cores(load, rows, monkeypatch):
    model = load(lightgbm.LGBMRegressor(**FEW).fit(rows, targets(rows)["number"]))
    own, taken = lightgbm.Booster.predict, []

    def predict(self, data, **given):
        taken.append(given["num_threads"])
        return own(self, data, **given)

    monkeypatch.setattr(lightgbm.Booster, "predict", predict)
    for count, output in (
        (1, "predict"),
        (1, "contributions"),
        (1200, "predict"),
        (6000, "predict"),
        (1200, "contributions"),
    ):
        model.ask(np.resize(rows, (count, 5)), output)
    cores = model.runtime.cores
    assert taken == [1, 1, 1, cores, cores]
