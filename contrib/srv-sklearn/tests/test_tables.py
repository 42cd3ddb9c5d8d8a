"""Each kind of pipeline gives the answer that it gives to the DataFrame itself, in each form and on each wire."""

import json
from functools import partial

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector, make_column_transformer
from sklearn.ensemble import (
    BaggingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import KNNImputer, MissingIndicator, SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from srv.testing import Client, assert_tables, model

HOMES = pd.DataFrame(
    {
        "city": ["Ulm", "Bonn", np.nan, "Ulm", "Kiel", "Köln"],
        "area": [50.5, 70.25, np.nan, 90.0, 40.1, 65.5],
        "rooms": [2, 3, 1, 4, 1, 3],
        "balcony": [True, False, True, False, True, True],
    }
)
PRICES = np.array([500.5, 900.1, 300.0, 1100.7, 450.2, 870.9])
CHEAP = np.array(["yes", "no", "yes", "no", "yes", "no"])
GAPS = HOMES.assign(
    balcony=pd.Series([True, None, False, True, None, False], dtype=object),
    rooms=pd.Series([2, None, 1, 4, None, 3], dtype="Int64"),
)
OBJECTS = HOMES.assign(city=pd.Series(["Ulm", "Bonn", None, "Ulm", "Kiel", "Köln"], dtype=object))


def onehot():
    return OneHotEncoder(handle_unknown="ignore")


def mixed(model, *, frame=HOMES, target=PRICES, city=None):
    city = city or make_pipeline(SimpleImputer(strategy="most_frequent"), onehot())
    columns = ColumnTransformer(
        [("city", city, ["city"]), ("n", SimpleImputer(), ["area", "rooms"]), ("b", "passthrough", ["balcony"])]
    )
    return make_pipeline(columns, model).fit(frame, target)


def seasons(frame):
    return np.column_stack([frame["since"].dt.month, frame["since"].dt.hour])


def ages(frame):
    return (frame[["since"]] - pd.Timestamp("2019-01-01", tz="UTC")).apply(lambda column: column.dt.total_seconds())


def initials(frame):
    return (frame == "Ulm").to_numpy(dtype=float)


def ratio(frame):
    return (frame["area"] / frame["rooms"]).to_frame()


def lengths(frame):
    return frame[["name"]].map(len).to_numpy()


def categories(**changed):
    return HOMES[["area", "rooms"]].assign(
        size=pd.Categorical(["S", "M", "L", "S", None, "L"], ["S", "M", "L"], ordered=True), **changed
    )


NUMBERS = HOMES[["area", "rooms"]].fillna(60.0)
TEXTS = pd.DataFrame(
    {"review": ["good day", "bad night", "good night", "bad", "ok", "day"], "stars": [5, 1, 4, 2, 3, 5]}
)
DATES = pd.DataFrame(
    {
        "since": pd.to_datetime(
            [
                "2020-01-01T12:30",
                "2021-06-01T00:00",
                "2022-03-27T02:30",
                "2020-10-25T01:00",
                "2019-12-31T23:00",
                "2020-02-29T00:00",
            ]
        ),
        "area": HOMES["area"].fillna(1.0),
    }
)
IN_BERLIN = DATES.assign(since=(DATES["since"] + pd.Timedelta(hours=2)).dt.tz_localize("Europe/Berlin"))
TWO = np.column_stack([CHEAP == "yes", [True, True, False, False, True, False]])

#: name → the pipeline, the frame, the outputs to compare.
PIPELINES = {
    "numbers": (make_pipeline(StandardScaler(), LogisticRegression()).fit(NUMBERS, CHEAP), NUMBERS, ["predict", "predict_proba", "decision_function"]),
    "integers": (DecisionTreeClassifier(random_state=0).fit(HOMES[["rooms"]].assign(more=[7, 8, 9, 7, 8, 9]), [1, 2, 1, 2, 1, 2]), HOMES[["rooms"]].assign(more=[7, 8, 9, 7, 8, 9]), ["predict", "predict_proba"]),
    "one-column": (make_pipeline(SimpleImputer(), LinearRegression()).fit(HOMES[["area"]], PRICES), HOMES[["area"]], ["predict"]),
    "mixed": (mixed(LinearRegression()), HOMES, ["predict"]),
    "mixed-classes": (mixed(LogisticRegression(), target=CHEAP), HOMES, ["predict", "predict_proba"]),
    "mixed-objects": (mixed(LinearRegression(), frame=OBJECTS), OBJECTS, ["predict"]),
    "mixed-nan": (mixed(LinearRegression(), frame=HOMES.assign(city=pd.Series(["Ulm", "Bonn", np.nan, "Ulm", "Kiel", "Köln"], dtype=object))), HOMES.assign(city=pd.Series(["Ulm", "Bonn", np.nan, "Ulm", "Kiel", "Köln"], dtype=object)), ["predict"]),
    "mixed-constant": (mixed(LinearRegression(), city=make_pipeline(SimpleImputer(strategy="constant", fill_value="?"), onehot())), HOMES, ["predict"]),
    "gaps": (
        make_pipeline(
            ColumnTransformer([("c", onehot(), ["city", "balcony"]), ("n", KNNImputer(n_neighbors=2), ["area", "rooms"])]), LinearRegression()
        ).fit(GAPS, PRICES),
        GAPS,
        ["predict"],
    ),
    "gaps-of-boolean": (
        make_pipeline(make_column_transformer((SimpleImputer(strategy="most_frequent"), ["rooms", "balcony"]), (onehot(), ["city"])), Ridge()).fit(
            GAPS.astype({"balcony": "boolean"}), PRICES
        ),
        GAPS.astype({"balcony": "boolean"}),
        ["predict"],
    ),
    "boosted": (HistGradientBoostingClassifier(categorical_features="from_dtype", min_samples_leaf=1, max_iter=5).fit(categories(), CHEAP), categories(), ["predict", "predict_proba"]),
    "boosted-integers": (
        HistGradientBoostingClassifier(categorical_features=["rooms"], min_samples_leaf=1, max_iter=5).fit(HOMES[["area", "rooms"]], CHEAP),
        HOMES[["area", "rooms"]],
        ["predict", "predict_proba"],
    ),
    "ordinal": (
        make_pipeline(
            make_column_transformer(
                (OrdinalEncoder(categories=[["S", "M", "L"]], handle_unknown="use_encoded_value", unknown_value=-1), ["size"]), remainder="passthrough"
            ),
            HistGradientBoostingClassifier(min_samples_leaf=1, max_iter=5),
        ).fit(categories(), CHEAP),
        categories(),
        ["predict", "predict_proba"],
    ),
    "vectoriser": (make_pipeline(make_column_transformer((TfidfVectorizer(), "review"), (StandardScaler(), ["stars"])), LogisticRegression()).fit(TEXTS, CHEAP), TEXTS, ["predict", "predict_proba"]),
    "vectorised-column": (make_pipeline(make_column_transformer((CountVectorizer(), "review")), LogisticRegression()).fit(TEXTS[["review"]], CHEAP), TEXTS[["review"]], ["predict"]),
    "multi-output": (MultiOutputClassifier(mixed(LogisticRegression(), target=CHEAP)).fit(HOMES, TWO), HOMES, ["predict", "predict_proba"]),
    "multi-regression": (mixed(DecisionTreeRegressor(random_state=0), target=np.column_stack([PRICES, PRICES / 3])), HOMES, ["predict"]),
    "transformed-target": (TransformedTargetRegressor(mixed(Ridge()), func=np.log1p, inverse_func=np.expm1).fit(HOMES, PRICES), HOMES, ["predict"]),
    "dropped": (make_pipeline(make_column_transformer((SimpleImputer(), ["area"]), (onehot(), ["city"])), LinearRegression()).fit(HOMES, PRICES), HOMES, ["predict"]),
    "drop-said": (make_pipeline(ColumnTransformer([("n", SimpleImputer(), ["area"]), ("d", "drop", ["city"])], remainder="passthrough"), LinearRegression()).fit(HOMES, PRICES), HOMES, ["predict"]),
    "dates": (make_pipeline(make_column_transformer((FunctionTransformer(seasons), ["since"]), remainder=StandardScaler()), LinearRegression()).fit(DATES, PRICES), DATES, ["predict"]),
    "search": (GridSearchCV(mixed(Ridge()), {"ridge__alpha": [0.1, 1.0]}, cv=2).fit(HOMES, PRICES), HOMES, ["predict"]),
    "vote": (VotingClassifier([("a", mixed(LogisticRegression(), target=CHEAP)), ("b", mixed(RandomForestClassifier(5, random_state=0), target=CHEAP))], voting="soft").fit(HOMES, CHEAP), HOMES, ["predict_proba"]),
    "union": (make_pipeline(FeatureUnion([("a", StandardScaler()), ("b", "passthrough")]), LinearRegression()).fit(NUMBERS, PRICES), NUMBERS, ["predict"]),
    "vote-on-a-function": (
        VotingRegressor([(name, make_pipeline(make_column_transformer((FunctionTransformer(initials), ["city"]), (SimpleImputer(), ["area"])), Ridge())) for name in "ab"]).fit(HOMES, PRICES),
        HOMES,
        ["predict"],
    ),
    "transformer": (ColumnTransformer([("c", onehot(), ["city"]), ("n", "passthrough", ["rooms"])]).fit(HOMES), HOMES, ["transform"]),
    "selected-by-dtype": (
        make_pipeline(
            make_column_transformer(
                (make_pipeline(SimpleImputer(strategy="most_frequent"), onehot()), make_column_selector(dtype_exclude=["number", "bool"])),
                (SimpleImputer(), make_column_selector(dtype_include="number")),
            ),
            LinearRegression(),
        ).fit(HOMES, PRICES),
        HOMES,
        ["predict"],
    ),
    "mixed-result": (make_column_transformer((StandardScaler(), ["rooms"]), ("passthrough", ["city"])).fit(HOMES.dropna()), HOMES.dropna(), ["transform"]),
    "boolean-classes": (mixed(LogisticRegression(), target=CHEAP == "yes"), HOMES, ["predict", "predict_proba"]),
    "indicator": (
        make_pipeline(ColumnTransformer([("m", MissingIndicator(features="all"), ["city"]), ("n", SimpleImputer(add_indicator=True), ["area"])]), LinearRegression()).fit(HOMES, PRICES),
        HOMES,
        ["predict"],
    ),
    "indicator-of-booleans": (make_pipeline(ColumnTransformer([("m", MissingIndicator(features="all"), ["balcony"]), ("n", "passthrough", ["area"])]), KNNImputer(), LinearRegression()).fit(GAPS, PRICES), GAPS[:1], ["predict"]),
    "bag": (
        BaggingClassifier(make_pipeline(ColumnTransformer([("c", make_pipeline(SimpleImputer(strategy="most_frequent"), onehot()), [0]), ("n", SimpleImputer(), [1, 2])]), LogisticRegression()), 3, random_state=0).fit(
            HOMES[["city", "area", "rooms"]], CHEAP
        ),
        HOMES[["city", "area", "rooms"]],
        ["predict", "predict_proba"],
    ),
    "integers-as-objects": (make_pipeline(onehot(), LinearRegression()).fit(HOMES[["rooms"]].astype(object).assign(more=CHEAP), PRICES), HOMES[["rooms"]].astype(object).assign(more=CHEAP), ["predict"]),
    "encoded-dates": (make_pipeline(make_column_transformer((onehot(), ["since"]), remainder="passthrough"), LinearRegression()).fit(DATES, PRICES), DATES, ["predict"]),
    "ages": (make_pipeline(make_column_transformer((FunctionTransformer(ages), ["since"]), remainder=StandardScaler()), LinearRegression()).fit(IN_BERLIN, PRICES), IN_BERLIN, ["predict"]),
    "words-that-a-search-encodes": (
        make_pipeline(make_column_transformer((SimpleImputer(), ["area"]), remainder="passthrough", verbose_feature_names_out=False), GridSearchCV(make_pipeline(make_column_transformer((onehot(), [1])), Ridge()), {"ridge__alpha": [0.1]}, cv=2)).fit(
            HOMES[["city", "area"]].fillna({"city": "Ulm"}), PRICES
        ),
        HOMES[["city", "area"]].fillna({"city": "Ulm"}),
        ["predict"],
    ),
    "encoded-dates-of-a-zone": (
        make_pipeline(make_column_transformer((onehot(), ["since"]), remainder="passthrough"), LinearRegression()).fit(IN_BERLIN, PRICES),
        IN_BERLIN,
        ["predict"],
    ),
    "dates-as-result": (make_column_transformer((onehot(), ["since"]), ("passthrough", ["since"]), sparse_threshold=0).fit(IN_BERLIN), IN_BERLIN, ["transform"]),
    "ratio": (make_pipeline(make_column_transformer((FunctionTransformer(ratio), ["area", "rooms"])), LinearRegression()).fit(NUMBERS, PRICES), NUMBERS, ["predict"]),
    "a-function": (make_pipeline(FunctionTransformer(lengths), LinearRegression()).fit(pd.DataFrame({"name": ["a", "bb", "ccc"]}), [1.0, 2.0, 4.0]), pd.DataFrame({"name": ["dd", "e"]}), ["predict"]),
}  # fmt: skip


def dense(result):
    if isinstance(result, list):
        return np.stack(result, axis=1)
    result = result.toarray() if hasattr(result, "toarray") else np.asarray(result)
    if result.dtype == object and not isinstance(result.flat[0], str):
        return np.array(
            [
                [json.dumps(value, ensure_ascii=False, default=lambda date: date.isoformat()).encode() for value in row]
                for row in result
            ],
            dtype=object,
        )
    return result


@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipeline_answers_as_it_does_to_the_frame(name):
    pipeline, frame, outputs = PIPELINES[name]
    expected = {output: dense(getattr(pipeline, output)(frame)) for output in outputs}

    count = assert_tables(
        model("sklearn", name=name, files={"model.joblib": partial(joblib.dump, pipeline)}),
        frame=frame,
        expected=expected,
    )

    assert count == 16


def test_the_page_begins_with_a_row_of_categories_that_the_encoder_knows(tmp_path):
    table = pd.DataFrame({"age": [1, 2, 3, 4], "city": ["Bern", "Ulm", "Bern", "Ulm"]})
    encoded = make_column_transformer((OneHotEncoder(), ["city"]), remainder="passthrough")
    (tmp_path / "m").mkdir()
    joblib.dump(make_pipeline(encoded, LogisticRegression()).fit(table, [0, 1, 0, 1]), tmp_path / "m" / "model.joblib")
    (tmp_path / "m" / "model-settings.json").write_text('{"allow_pickle": true}')

    with Client.of(tmp_path / "m") as client:
        told = client.get("/v2/models/m/docs/example.json").json
        assert told["from"] == "runtime"
        assert client.post("/v2/models/m/infer", json.dumps(told["request"]).encode()).status == 200
