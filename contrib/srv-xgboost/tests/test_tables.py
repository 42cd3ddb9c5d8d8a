"""Models of tables: names, booleans and categories, in each form and on each wire."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import xgboost

from srv.errors import LoadFailed
from srv.testing import FORMS, Client, assert_tables, model

CHANCE = np.random.default_rng(3)
SIZE = 60
HOMES = pd.DataFrame(
    {
        "area": CHANCE.normal(70, 20, SIZE),
        "rooms": CHANCE.integers(1, 9, SIZE),
        "city": pd.Categorical(CHANCE.choice(["Ulm", "Bonn", "Kiel"], SIZE)),
        "floor": pd.Categorical(CHANCE.choice([3, 7, 9], SIZE)),
        "balcony": CHANCE.random(SIZE) > 0.5,
    }
)
HOMES.loc[::7, "area"] = np.nan
HOMES.loc[::5, ["city", "floor"]] = np.nan
PRICES = HOMES["area"].fillna(50) * 10 + 300 * (HOMES["city"] == "Ulm") + 90 * HOMES["balcony"]
FEW = {"n_estimators": 12, "n_jobs": 1, "enable_categorical": True}
HAS_CATEGORIES = tuple(map(int, xgboost.__version__.split(".")[:2])) >= (3, 1)
CITIES = ["Bonn", "Kiel", "Ulm"]
#: For an XGBoost that keeps no categories in the file.
CATEGORIES = {} if HAS_CATEGORIES else {
    "city": {"category": CITIES}, "floor": {"category": [3, 7, 9]}}  # fmt: skip
CLASSES = HOMES["area"].fillna(0).gt(70) ^ HOMES["city"].eq("Ulm")
REGRESSOR = xgboost.XGBRegressor(**FEW).fit(HOMES, PRICES)
CLASSIFIER = xgboost.XGBClassifier(**FEW).fit(HOMES, CLASSES.astype(int))
NUMBERS = HOMES[["area", "rooms"]]


def of_booster(estimator, frame, **what):
    matrix = xgboost.DMatrix(frame, enable_categorical=True)
    return estimator.get_booster().predict(matrix, **what)


@pytest.mark.parametrize("file", ["model.ubj", "model.json"])
@pytest.mark.parametrize(
    "own, frame, outputs",
    [
        pytest.param(REGRESSOR, HOMES, ["predict"], id="regressor"),
        pytest.param(CLASSIFIER, HOMES, ["predict", "predict_proba"], id="classifier"),
        pytest.param(xgboost.XGBRegressor(**FEW).fit(NUMBERS, PRICES), NUMBERS, ["predict"], id="numbers"),
        pytest.param(
            xgboost.XGBRegressor(**FEW, booster="dart").fit(HOMES[["city", "rooms"]], PRICES),
            HOMES[["city", "rooms"]],
            ["predict"],
            id="dart",
        ),
    ],
)
def test_a_table_is_answered_as_the_estimator_answers_the_dataframe(own, frame, outputs, file):
    expected = {name: getattr(own, name)(frame) for name in outputs}
    expected["leaf"] = of_booster(own, frame, pred_leaf=True).astype(np.int32)
    expected["contributions"] = of_booster(own, frame, pred_contribs=True)
    columns = {name: CATEGORIES[name] for name in frame.columns if name in CATEGORIES}
    assert assert_tables(
        "xgboost",
        frame=frame,
        expected=expected,
        files={file: own.save_model},
        settings={"parameters": {"extra": {"columns": columns}}},
    )


def test_each_column_is_an_input_of_its_datatype():
    if not HAS_CATEGORIES:
        pytest.skip("This XGBoost keeps no categories in the file.")
    with Client.of(model("xgboost", name="homes", files={"model.ubj": REGRESSOR.save_model})) as client:
        inputs = client.get("/v2/models/homes").json["inputs"]
    assert [(each["name"], each["datatype"]) for each in inputs] == [
        ("area", "FP64"),
        ("rooms", "FP64"),
        ("city", "BYTES"),
        ("floor", "INT64"),
        ("balcony", "BOOL"),
    ]


def load(own, **columns):
    given = {"parameters": {"extra": {"columns": columns}}}
    return Client.of(model("xgboost", name="homes", files={"model.json": own.save_model}, **given))


UMLAUTS = HOMES[["rooms"]].assign(city=pd.Categorical(HOMES["city"].astype(object).map({"Ulm": "Köln", "Bonn": "Ulm"})))


def test_categories_beyond_ascii_are_named_by_the_settings_because_xgboost_cuts_them_wrongly():
    own = xgboost.XGBRegressor(**FEW).fit(UMLAUTS, PRICES)
    if HAS_CATEGORIES:
        with pytest.raises(LoadFailed, match=r"'city' have letters beyond ASCII.*Name its 2 categories"):
            load(own)
        with pytest.raises(LoadFailed, match=r"names 1 categories of column 'city', and the model was trained on 2"):
            load(own, city={"category": ["Köln"]})
    settings = {"parameters": {"extra": {"columns": {"city": {"category": ["Köln", "Ulm"]}}}}}
    files = {"model.json": own.save_model}
    assert_tables("xgboost", frame=UMLAUTS, expected={"predict": own.predict(UMLAUTS)}, files=files, settings=settings)


CODES = np.column_stack([HOMES["rooms"], HOMES["city"].cat.codes.replace(-1, np.nan)]).astype(float)


@pytest.fixture(scope="module")
def coded():
    matrix = xgboost.DMatrix(CODES, PRICES, feature_types=["q", "c"], enable_categorical=True)
    return xgboost.train({"nthread": 1, "max_cat_to_onehot": 1}, matrix, 12), matrix


def test_a_model_that_was_trained_on_codes_of_categories_takes_codes(coded):
    own, matrix = coded
    with Client.of(model("xgboost", name="codes", files={"model.ubj": own.save_model})) as client:
        answer = client.infer("codes", {"x": CODES}, outputs=["predict", "contributions"])
        assert np.array_equal(answer["predict"], own.predict(matrix))
        assert np.array_equal(answer["contributions"], own.predict(matrix, pred_contribs=True))
        for code, said in [(-1, "the number -1"), (2.5, "the number 2.5"), (2.0**24, "the number 1.67772e+07")]:
            answer = client.infer("codes", {"x": np.array([[3.0, 0.0], [3.0, code]])})
            assert (answer.status, said in answer.error, "Column 1, row 1" in answer.error) == (400, True, True)


def test_the_settings_name_the_categories_of_codes(coded):
    own, matrix = coded
    frame = pd.DataFrame({"rooms": HOMES["rooms"].astype(float), "city": HOMES["city"]})
    assert_tables(
        "xgboost",
        frame=frame,
        expected={"predict": own.predict(matrix)},
        files={"model.ubj": own.save_model},
        settings={"parameters": {"extra": {"columns": {"rooms": "number", "city": {"category": CITIES}}}}},
    )


ROW = {"area": [50.0], "rooms": [2.0], "city": ["Ulm"], "floor": [3], "balcony": [True]}
WRONG = {
    "an unknown category": ({"city": ["Paris"]}, "Column 'city', row 0: 'Paris' stands where one of the categories"),
    "an unknown number": ({"floor": [4]}, "Column 'floor', row 0: the number 4 stands where one of the categories"),
    "a number for a text": ({"city": [7.0]}, "Column 'city', row 0: the number 7.0 (FP64) stands where text belongs"),
    "a text for a number": ({"area": ["50"]}, "Column 'area', row 0: '50' (BYTES) stands where a number belongs"),
    "a number for a boolean": (
        {"balcony": [0.5]},
        "Column 'balcony', row 0: the number 0.5 (FP64) stands where true or",
    ),
    "two shapes": (
        {"area": np.zeros((1, 2))},
        "Input 'area' has the shape [1, 2]; a column has the shape [n] or [n, 1]",
    ),
    "more rows": ({"area": [1.0, 2.0]}, "Column 'area' has 2 rows and column 'rooms' has 1"),
    "an unknown name": ({"ctiy": ["Ulm"]}, "Column 'ctiy' is unknown; the model takes"),
}


@pytest.fixture(scope="module")
def client():
    settings = {"parameters": {"extra": {"columns": CATEGORIES}}}
    plain = xgboost.XGBRegressor(n_estimators=3, n_jobs=1).fit(np.arange(8.0).reshape(4, 2), [1, 2, 3, 4])
    with Client.of(
        model("xgboost", name="homes", files={"model.ubj": REGRESSOR.save_model}, **settings),
        model("xgboost", name="plain", files={"model.ubj": plain.save_model}),
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


def test_infinity_is_refused_where_xgboost_takes_none(client):
    infinite = np.array([[1.0, 2.0], [3.0, np.inf]])
    answer = client.infer("plain", {"x": infinite}, outputs=["leaf"], form="binary")
    assert answer.status == 400
    assert "Column 1, row 1: infinity or a number too large stands where a number of 32 bits belongs" in answer.error
    assert client.infer("plain", {"x": infinite}, form="binary").ok  # as inplace_predict of the estimator does


def test_an_output_that_the_model_lacks_is_refused_with_those_it_has(client):
    answer = client.infer("plain", {"x": np.zeros((1, 2))}, outputs=["predict_proba"])
    assert answer.status == 400
    assert "the model gives contributions, leaf, margin, predict." in answer.error


@pytest.mark.parametrize(
    "extra, said", [({"colums": {}}, "colums"), ({"columns": {"ctiy": "text"}}, "Did you mean 'city'")]
)
def test_settings_that_mean_nothing_do_not_load(extra, said):
    given = partial(model, "xgboost", name="homes", files={"model.ubj": REGRESSOR.save_model})
    with pytest.raises(LoadFailed, match=said):
        Client.of(given(parameters={"extra": extra}))
