"""Models of tables: names and categories, in each form and on each wire."""

import lightgbm
import numpy as np
import pandas as pd
import pytest

from srv.errors import LoadFailed
from srv.testing import FORMS, Client, assert_tables, model
from srv_lightgbm.category_places import placed

CHANCE = np.random.default_rng(3)
SIZE = 60
HOMES = pd.DataFrame(
    {
        "area": CHANCE.normal(70, 20, SIZE),
        "rooms": CHANCE.integers(1, 9, SIZE),
        "city": pd.Categorical(CHANCE.choice(["Ulm", "Bonn", "Köln"], SIZE)),
        "floor": pd.Categorical(CHANCE.choice([3, 7, 9], SIZE)),
        "rate": pd.Categorical(CHANCE.choice([1.5, 2.0, 0.25], SIZE)),
        "balcony": CHANCE.random(SIZE) > 0.5,
    }
)
HOMES.loc[::7, "area"] = np.nan
HOMES.loc[::5, ["city", "floor"]] = np.nan
PRICES = HOMES["area"].fillna(50) * 10 + 300 * (HOMES["city"] == "Ulm") + 90 * HOMES["balcony"]
CLASSES = np.where(HOMES["area"].fillna(0).gt(70) ^ HOMES["city"].eq("Ulm"), "dear", "cheap")
FEW = {"n_estimators": 12, "n_jobs": 1, "verbose": -1, "min_child_samples": 2, "min_data_per_group": 2}
REGRESSOR = lightgbm.LGBMRegressor(**FEW).fit(HOMES, PRICES)
CLASSIFIER = lightgbm.LGBMClassifier(**FEW).fit(HOMES, CLASSES)
NUMBERS = HOMES[["area", "rooms"]]
LARGE = NUMBERS.assign(rooms=HOMES["rooms"] + 2**24)


def own_answers(own, frame):
    booster = own.booster_
    answers = {
        "raw_score": booster.predict(frame, raw_score=True),
        "leaf": booster.predict(frame, pred_leaf=True).astype(np.int32),
        "contributions": booster.predict(frame, pred_contrib=True),
    }
    if isinstance(own, lightgbm.LGBMClassifier):
        return answers | {"predict": own.predict(frame).tolist(), "predict_proba": own.predict_proba(frame)}
    return answers | {"predict": own.predict(frame)}


def given(own, **extra):
    return {"files": {"model.txt": own.booster_.save_model}, "settings": {"parameters": {"extra": extra}}}


@pytest.mark.parametrize(
    "own, frame, extra",
    [
        pytest.param(REGRESSOR, HOMES, {}, id="regressor"),
        pytest.param(CLASSIFIER, HOMES, {"classes": ["cheap", "dear"]}, id="classifier"),
        pytest.param(lightgbm.LGBMRegressor(**FEW).fit(NUMBERS, PRICES), NUMBERS, {}, id="numbers"),
        pytest.param(lightgbm.LGBMRegressor(**FEW).fit(LARGE, PRICES), LARGE, {}, id="large integers"),
    ],
)
def test_a_table_is_answered_as_the_estimator_answers_the_dataframe(own, frame, extra):
    assert assert_tables("lightgbm", frame=frame, expected=own_answers(own, frame), **given(own, **extra))


def test_each_column_is_an_input_of_its_datatype():
    files = {"model.txt": REGRESSOR.booster_.save_model}
    with Client.of(model("lightgbm", name="homes", files=files)) as client:
        found = client.get("/v2/models/homes").json
    assert [(each["name"], each["datatype"]) for each in found["inputs"]] == [
        ("area", "FP64"),
        ("rooms", "FP64"),
        ("city", "BYTES"),
        ("floor", "INT64"),
        ("rate", "FP64"),
        ("balcony", "FP64"),
    ]
    assert found["parameters"]["feature_names"] == list(HOMES.columns)


def load(own, **columns):
    files = {"model.txt": own.booster_.save_model}
    return Client.of(model("lightgbm", name="homes", files=files, parameters={"extra": {"columns": columns}}))


ORDERED = HOMES[["rooms"]].assign(
    size=pd.Categorical(CHANCE.choice(["S", "M", "L"], SIZE), ["S", "M", "L"], ordered=True)
)
SIZES = {"category": ["S", "M", "L"]}


def test_ordered_categories_are_named_by_the_settings_because_the_file_does_not_say_where_they_are():
    own = lightgbm.LGBMRegressor(**FEW).fit(ORDERED, PRICES)
    with pytest.raises(LoadFailed, match=r"does not say in which columns: 'S', 'M', 'L'"):
        load(own)
    with pytest.raises(LoadFailed, match=r"names other categories of column 'size'.*'S', 'M', 'L', in this order"):
        load(own, size={"category": ["L", "M", "S"]})
    assert_tables(
        "lightgbm", frame=ORDERED, expected={"predict": own.predict(ORDERED)}, **given(own, columns={"size": SIZES})
    )


def test_categories_are_not_taken_for_those_of_a_column_of_codes():
    own = lightgbm.LGBMRegressor(**FEW).fit(ORDERED, PRICES, categorical_feature=["rooms"])
    with pytest.raises(LoadFailed, match=r"does not say in which columns"):
        load(own)
    settings = {"columns": {"size": SIZES}}
    assert_tables("lightgbm", frame=ORDERED, expected={"predict": own.predict(ORDERED)}, **given(own, **settings))


GRADES = pd.DataFrame(
    {
        "grade": pd.Categorical(CHANCE.choice([1, 2, 3], SIZE)),
        "code": CHANCE.integers(0, 3, SIZE),
        "area": HOMES["area"],
    }
)


@pytest.mark.parametrize("features", ["auto", ["code"]], ids=["a category", "a column of integers"])
def test_numbers_as_categories_are_not_taken_for_those_of_a_column_with_the_same_codes(features):
    """The files of the two are alike, and one read as the other would answer with other figures."""
    prices = GRADES["grade"].astype(int) * 2 + 5 * (GRADES["code"] == 1)
    own = lightgbm.LGBMRegressor(**FEW).fit(GRADES, prices, categorical_feature=features)
    with pytest.raises(LoadFailed, match=r"does not say in which columns: '1', '2', '3'"):
        load(own)
    settings = {"columns": {"grade": {"category": [1, 2, 3]}}}
    assert_tables("lightgbm", frame=GRADES, expected={"predict": own.predict(GRADES)}, **given(own, **settings))


PLACINGS = {
    "another column holds fewer numbers": ([1], [[1, 2, 3]], ["[0:1]", "0:1:2:-1"], True),
    "another column holds the same codes": ([1], [[1, 2, 3]], ["[0:2]", "0:1:2:-1"], False),
    "training has not seen all categories": ([1], [[1, 2, 3]], ["[0:1]", "0:1"], False),
    "the other column has broken numbers": ([1], [[1, 2, 3]], ["[0.5:2]", "0:1:2"], True),
    "the other column has numbers below zero": ([1], [[1, 2, 3]], ["[-1:2]", "0:1:2"], True),
    "the other column is constant": ([1], [[1, 2, 3]], ["none", "0:1:2"], True),
    "categories are their own codes": ([1], [[0, 1, 2]], ["[0:2]", "0:1:2"], True),
    "categories are texts": ([1], [["a", "b", "c"]], ["[0:2]", "0:1:2"], True),
    "the column stands where another's categories would": ([1, 2], [["a"], [7, 8]], ["[0:1]", "0", "0:1"], True),
    "a column of codes has too many": ([1, 2], [[7, 8], [1, 2, 3]], ["[0:1]", "0:1", "0:1:2"], False),
    "more categories than columns": ([1], [[1], [2]], ["[0:5]", "0"], False),
}


@pytest.mark.parametrize("codes, categories, infos, is_clear", PLACINGS.values(), ids=PLACINGS)
def test_categories_are_placed_only_where_no_other_column_may_have_them(codes, categories, infos, is_clear):
    assert placed(codes, categories, infos) == (dict(zip(codes, categories, strict=True)) if is_clear else None)


CODES = np.column_stack([HOMES["rooms"], HOMES["city"].cat.codes.replace(-1, np.nan)]).astype(float)


def test_a_model_that_was_trained_on_codes_of_categories_takes_codes():
    own = lightgbm.LGBMRegressor(**FEW).fit(CODES, PRICES, categorical_feature=[1])
    with Client.of(model("lightgbm", name="codes", files={"model.txt": own.booster_.save_model})) as client:
        assert np.array_equal(client.infer("codes", {"x": CODES})["predict"], own.predict(CODES))
        for code, said in [(2.5, "the number 2.5"), (2.0**31, "the number 2.14748e+09")]:
            answer = client.infer("codes", {"x": np.array([[3.0, 0.0], [3.0, code]])})
            assert (answer.status, said in answer.error, "Column 1, row 1" in answer.error) == (400, True, True)


ROW = {"area": [50.0], "rooms": [2.0], "city": ["Ulm"], "floor": [3], "rate": [1.5], "balcony": [True]}
WRONG = {
    "an unknown category": ({"city": ["Paris"]}, "Column 'city', row 0: 'Paris' stands where one of the categories"),
    "an unknown number": ({"floor": [4]}, "Column 'floor', row 0: the number 4 stands where one of the categories"),
    "a number for a text": ({"city": [7.0]}, "Column 'city', row 0: the number 7.0 (FP64) stands where text belongs"),
    "a text for a number": ({"area": ["50"]}, "Column 'area', row 0: '50' (BYTES) stands where a number belongs"),
    "two shapes": (
        {"area": np.zeros((1, 2))},
        "Input 'area' has the shape [1, 2]; a column has the shape [n] or [n, 1]",
    ),
    "more rows": ({"area": [1.0, 2.0]}, "Column 'area' has 2 rows and column 'rooms' has 1"),
    "an unknown name": ({"ctiy": ["Ulm"]}, "Column 'ctiy' is unknown; the model takes"),
}


@pytest.fixture(scope="module")
def client():
    plain = lightgbm.LGBMRegressor(**FEW).fit(np.arange(40.0).reshape(20, 2), np.arange(20.0))
    with Client.of(
        model("lightgbm", name="homes", files={"model.lgb": REGRESSOR.booster_.save_model}),
        model("lightgbm", name="plain", files={"model.bst": plain.booster_.save_model}),
    ) as client:
        yield client


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_value_is_named_by_column_and_row(client, wrong, form):
    changed, said = WRONG[wrong]
    answer = client.infer("homes", ROW | changed, form=form)
    assert (answer.status, answer.code) == (400, "INVALID_INPUT")
    assert said in answer.error


def test_a_column_that_is_left_out_is_named(client):
    answer = client.infer("homes", {name: values for name, values in ROW.items() if name != "rooms"})
    assert (answer.status, answer.error) == (400, "Column 'rooms' is missing.")


@pytest.mark.parametrize(
    "data, said",
    [
        (np.zeros((2, 3)), "the model takes rows of 2 features, so the shape must be [n, 2]"),
        (np.zeros(2), "the model takes rows of 2 features, so the shape must be [n, 2]"),
        (np.zeros((0, 2)), "The request has no rows; the model takes one or more."),
        (np.array([["1", "x"]]), "Column 0, row 0: '1' (BYTES) stands where a number belongs"),
    ],
    ids=["too wide", "flat", "no rows", "texts"],
)
def test_a_wrong_table_of_numbers_is_refused(client, data, said):
    answer = client.infer("plain", {"x": data})
    assert (answer.status, answer.code) == (400, "INVALID_INPUT")
    assert said in answer.error


def test_an_output_that_the_model_lacks_is_refused_with_those_it_has(client):
    answer = client.infer("plain", {"x": np.zeros((1, 2))}, outputs=["predict_proba"])
    assert answer.status == 400
    assert "the model gives contributions, leaf, predict, raw_score." in answer.error


@pytest.mark.parametrize(
    "extra, said", [({"colums": {}}, "colums"), ({"columns": {"ctiy": "text"}}, "Did you mean 'city'")]
)
def test_settings_that_mean_nothing_do_not_load(extra, said):
    files = {"model.txt": REGRESSOR.booster_.save_model}
    with pytest.raises(LoadFailed, match=said):
        Client.of(model("lightgbm", name="homes", files=files, parameters={"extra": extra}))
