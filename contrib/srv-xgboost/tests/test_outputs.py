"""What each kind of model gives is what XGBoost itself gives, to the last bit, on 1,200 rows with missing values."""

import numpy as np
import pytest
import xgboost
from marshmallow import ValidationError
from scipy.special import softmax

from srv import Spec
from srv.errors import SrvError

FEW = {"n_estimators": 6, "max_depth": 3, "n_jobs": 1}


def targets(rows):
    number = np.nan_to_num(rows[:, 0] + rows[:, 1])
    return {
        "number": number,
        "two": (number > 0).astype(int),
        "three": np.digitize(number, [-0.5, 0.5]),
        "labels": np.stack([number > 0, number < 0.5], axis=1).astype(int),
        "numbers": np.stack([number, rows[:, 2]], axis=1),
        "count": np.round(np.abs(number)),
    }


ESTIMATORS = {
    "binary": (lambda: xgboost.XGBClassifier(**FEW), "two"),
    "multi": (lambda: xgboost.XGBClassifier(**FEW), "three"),
    "several labels": (lambda: xgboost.XGBClassifier(**FEW), "labels"),
    "hinge": (lambda: xgboost.XGBClassifier(**FEW, objective="binary:hinge"), "two"),
    "regressor": (lambda: xgboost.XGBRegressor(**FEW), "number"),
    "several targets": (lambda: xgboost.XGBRegressor(**FEW), "numbers"),
    "vector leaves": (lambda: xgboost.XGBRegressor(**FEW, multi_strategy="multi_output_tree"), "numbers"),
    "quantiles": (
        lambda: xgboost.XGBRegressor(**FEW, objective="reg:quantileerror", quantile_alpha=[0.1, 0.9]),
        "number",
    ),
    "counts": (lambda: xgboost.XGBRegressor(**FEW, objective="count:poisson", base_score=2.0), "count"),
    "linear": (lambda: xgboost.XGBRegressor(n_estimators=5, n_jobs=1, booster="gblinear"), "number"),
    "dart": (lambda: xgboost.XGBRegressor(**FEW, booster="dart", rate_drop=0.5), "number"),
    "forest": (lambda: xgboost.XGBRFClassifier(**FEW), "three"),
}
PROBABILITIES = {"binary", "multi", "several labels", "forest"}


@pytest.mark.parametrize("file", ["model.ubj", "model.json"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_estimator_gives_what_it_gives_in_python(load, rows, name, file):
    make, target = ESTIMATORS[name]
    own = make().fit(rows, targets(rows)[target])

    model = load(own, file, extra={"interactions": True})

    answers = model.ask(rows, *(spec.name for spec in model.runtime.outputs))
    assert np.array_equal(answers["predict"], own.predict(rows))
    assert np.array_equal(answers["margin"], own.predict(rows, output_margin=True))
    assert ("predict_proba" in answers) == (name in PROBABILITIES)
    if name in PROBABILITIES:
        assert np.array_equal(answers["predict_proba"], own.predict_proba(rows))
    if name != "linear":
        assert np.array_equal(answers["leaf"], own.apply(rows).reshape(len(rows), -1))
    if name != "vector leaves":
        booster, matrix = own.get_booster(), xgboost.DMatrix(rows)
        assert np.array_equal(answers["contributions"], booster.predict(matrix, pred_contribs=True))
        if name != "linear":
            assert np.array_equal(answers["interactions"], booster.predict(matrix, pred_interactions=True))
    for spec in model.runtime.outputs:
        assert spec == Spec(spec.datatype, (-1, *answers[spec.name].shape[1:]), name=spec.name)
        assert model.ask(rows[:1], spec.name)[spec.name].shape == (1, *answers[spec.name].shape[1:])


OBJECTIVES = {
    "reg:absoluteerror": "number",
    "binary:logistic": "two",
    "binary:logitraw": "two",
    "binary:hinge": "two",
    "multi:softmax": "three",
    "multi:softprob": "three",
    "survival:cox": "count",
    "reg:tweedie": "count",
}


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_booster_gives_what_it_predicts(load, rows, objective):
    classes = {"num_class": 3} if objective.startswith("multi") else {}
    matrix = xgboost.DMatrix(rows, targets(rows)[OBJECTIVES[objective]])
    own = xgboost.train({"objective": objective, "nthread": 1, "max_depth": 3, **classes}, matrix, 5)

    model = load(own)

    answers = model.ask(rows, *(spec.name for spec in model.runtime.outputs))
    assert np.array_equal(answers["predict"], own.predict(matrix))
    assert np.array_equal(answers["margin"], own.predict(matrix, output_margin=True))
    if objective == "multi:softmax":
        assert np.array_equal(answers["predict_proba"], softmax(answers["margin"], axis=1))
    elif objective == "binary:logistic":
        assert np.array_equal(answers["predict_proba"][:, 1], own.predict(matrix))
    else:
        assert ("predict_proba" in answers) == (objective == "multi:softprob")


def test_a_ranker_and_an_interval_of_survival_give_scores(load, rows):
    groups = np.sort(np.random.default_rng(1).integers(0, 40, len(rows)))
    ranker = xgboost.XGBRanker(**FEW).fit(rows, targets(rows)["three"], qid=groups)
    assert np.array_equal(load(ranker).ask(rows)["predict"], ranker.predict(rows))

    matrix = xgboost.DMatrix(rows)
    matrix.set_float_info("label_lower_bound", targets(rows)["count"] + 1)
    matrix.set_float_info("label_upper_bound", targets(rows)["count"] + 2)
    survival = xgboost.train({"objective": "survival:aft", "nthread": 1}, matrix, 5)
    assert np.array_equal(load(survival).ask(rows)["predict"], survival.predict(matrix))


@pytest.mark.parametrize(
    "saved_by, extra, trees",
    [("estimator", {}, "best"), ("booster", {}, "all"), ("booster", {"best_iteration": True}, "best"),
     ("estimator", {"best_iteration": False}, "all")],
)  # fmt: skip
def test_the_trees_after_the_best_iteration_count_as_in_the_object_that_was_saved(load, rows, saved_by, extra, trees):
    two = targets(rows)["two"]
    own = xgboost.XGBClassifier(n_estimators=30, n_jobs=1, early_stopping_rounds=3)
    own.fit(rows[:900], two[:900], eval_set=[(rows[900:], 1 - two[900:])], verbose=False)
    assert own.best_iteration + 1 < own.get_booster().num_boosted_rounds()
    booster = own.get_booster()

    model = load(own if saved_by == "estimator" else booster, extra=extra)

    iterations = (0, own.best_iteration + 1) if trees == "best" else (0, 0)
    expected = booster.predict(xgboost.DMatrix(rows), iteration_range=iterations)
    assert np.array_equal(model.ask(rows, "predict_proba")["predict_proba"][:, 1], expected)
    assert model.runtime.parameters.get("best_iteration") == (own.best_iteration if trees == "best" else None)


def test_best_iteration_cannot_be_asked_of_a_model_that_has_none(load, rows):
    with pytest.raises(SrvError, match=r"the model's file has no best iteration"):
        load(xgboost.XGBRegressor(**FEW).fit(rows, targets(rows)["number"]), extra={"best_iteration": True})


@pytest.mark.parametrize("classes", [["no", "perhaps", "yes"], [10, 20, 30]], ids=["texts", "integers"])
def test_the_settings_name_the_classes(load, rows, classes):
    own = xgboost.XGBClassifier(**FEW).fit(rows, targets(rows)["three"])

    model = load(own, extra={"classes": classes})

    assert model.ask(rows)["predict"].tolist() == [
        each.encode() if isinstance(each, str) else each for each in np.array(classes)[own.predict(rows)].tolist()
    ]
    assert model.runtime.parameters["classes"] == classes
    assert model.runtime.outputs[0].datatype == ("BYTES" if classes[0] == "no" else "INT64")


def test_a_booster_whose_classes_are_named_is_a_classifier(load, rows):
    matrix = xgboost.DMatrix(rows, targets(rows)["two"])
    own = xgboost.train({"objective": "binary:logistic", "nthread": 1}, matrix, 5)
    answers = load(own, extra={"classes": ["no", "yes"]}).ask(rows)["predict"]
    assert answers.tolist() == [b"yes" if each > 0.5 else b"no" for each in own.predict(matrix)]


@pytest.mark.parametrize(
    "target, classes, said",
    [("two", ["a", "b", "c"], "names 3 classes, and the model has 2 classes"),
     ("number", ["a", "b"], "names 2 classes, and the model has no classes")],
)  # fmt: skip
def test_classes_that_the_model_lacks_do_not_load(load, rows, target, classes, said):
    kind = xgboost.XGBClassifier if target == "two" else xgboost.XGBRegressor
    with pytest.raises(SrvError, match=said):
        load(kind(**FEW).fit(rows, targets(rows)[target]), extra={"classes": classes})


def test_a_number_that_stood_for_missing_values_is_said_by_the_settings(load, rows):
    filled = np.where(np.isnan(rows), -999.0, rows)
    own = xgboost.XGBRegressor(**FEW, missing=-999.0).fit(filled, targets(rows)["number"])
    model = load(own, extra={"missing": -999})
    answers = model.ask(filled, "predict", "contributions")
    assert np.array_equal(answers["predict"], own.predict(filled))
    matrix = xgboost.DMatrix(filled, missing=-999.0)
    assert np.array_equal(answers["contributions"], own.get_booster().predict(matrix, pred_contribs=True))


@pytest.mark.parametrize("datatype", ["FP64", "FP32", "FP16", "INT64", "INT32", "INT16", "INT8", "UINT64", "UINT8"])
def test_any_datatype_of_numbers_goes_in(load, rows, datatype):
    own = xgboost.XGBRegressor(**FEW).fit(rows, targets(rows)["number"])
    some = [[1, 2, 3, 4, 5], [5, 4, 3, 2, 0]]
    outputs = load(own).ask(some, "predict", "leaf", datatype=datatype)
    assert np.array_equal(outputs["predict"], own.predict(np.array(some, dtype=float)))
    assert np.array_equal(outputs["leaf"], own.apply(np.array(some, dtype=float)))


def test_metadata_comes_from_the_file(load, rows):
    runtime = load(xgboost.XGBClassifier(**FEW).fit(rows, targets(rows)["two"])).runtime
    assert runtime.inputs == [Spec("FP64", (-1, 5), name="input")]
    assert runtime.outputs == [
        Spec("INT64", (-1,), name="predict"),
        Spec("FP32", (-1, 2), name="predict_proba"),
        Spec("FP32", (-1,), name="margin"),
        Spec("INT32", (-1, 6), name="leaf"),
        Spec("FP32", (-1, 6), name="contributions"),
    ]
    assert runtime.parameters == {
        "xgboost": xgboost.__version__,
        "objective": "binary:logistic",
        "booster": "gbtree",
        "estimator": "classifier",
        "classes": [0, 1],
    }


def test_what_another_model_has_set_in_numpy_changes_no_answer(load, rows):
    own = xgboost.XGBClassifier(**FEW).fit(rows, targets(rows)["three"])
    model = load(own)
    large = np.array([[1e300, 1e-300, 1.0, 2.0, 3.0]])
    with np.errstate(all="raise"):
        assert np.array_equal(model.ask(large)["predict"], own.predict(large))


@pytest.mark.parametrize("classes", [["a", 1], [[1], [2]], ["a", "a"], []])
def test_classes_of_several_kinds_or_twice_are_refused(load, rows, classes):
    with pytest.raises(ValidationError, match="all of one kind and each of them once"):
        load(xgboost.XGBClassifier(**FEW).fit(rows, targets(rows)["two"]), extra={"classes": classes})
