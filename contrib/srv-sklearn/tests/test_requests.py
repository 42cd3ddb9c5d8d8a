"""Requests as clients send them to a server: what is taken under which name, and what is refused with which sentence."""

import json
import operator
from functools import partial

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor, VotingClassifier
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from srv import Tensor, codecs
from srv.errors import LoadFailed
from srv.testing import FORMS, Client, model
from srv.testing.requests import as_request

HOMES = pd.DataFrame(
    {
        "city": pd.Series(["Ulm", "Bonn", None, "Ulm", "Kiel", "Bonn"], dtype=object),
        "area": [50, 70, np.nan, 90, 40, 65.5],
        "rooms": [2, 3, 1, 4, 1, 3],
        "balcony": [True, False, True, False, True, True],
    }
)
PRICES = [500, 900, 300, 1100, 450, 870]
REVIEWS = ["good day", "bad night", "fine", "bad"]


def hours(frame):
    return frame[["since"]].apply(lambda column: column.dt.hour)


def lengths(frame):
    return frame.astype(str).map(len)


def codes(frame):
    return np.column_stack([frame["size"].cat.codes, frame["rooms"].fillna(0).astype("int64")])


FLATS = make_pipeline(
    ColumnTransformer(
        [
            (
                "c",
                make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")),
                ["city"],
            ),
            ("n", SimpleImputer(), ["area", "rooms"]),
            ("b", "passthrough", ["balcony"]),
        ]
    ),
    LinearRegression(),
).fit(HOMES, PRICES)
STRICT = make_pipeline(
    make_column_transformer((OneHotEncoder(), ["city"]), (StandardScaler(), ["area"])), LinearRegression()
).fit(HOMES.dropna(), HOMES.dropna()["rooms"])
TEXT = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(REVIEWS, ["+", "-", "+", "-"])
SIZES = pd.DataFrame(
    {"size": pd.Categorical(["S", "L", "S"], ["S", "M", "L"]), "rooms": pd.array([1, None, 3], "Int64")}
)
MODELS = {
    "flats": FLATS,
    "strict": STRICT,
    "text": TEXT,
    "text-calibrated": CalibratedClassifierCV(TEXT, cv=2).fit(REVIEWS, ["+", "-", "+", "-"]),
    "text-vote": VotingClassifier([("a", TEXT), ("b", TEXT)]).fit(REVIEWS, ["+", "-", "+", "-"]),
    "boosted": HistGradientBoostingRegressor(categorical_features=["city"], max_iter=2).fit(
        HOMES[["city", "area"]].astype({"city": "category"}), PRICES
    ),
    "days": make_pipeline(OneHotEncoder(), LinearRegression()).fit(
        pd.DataFrame({"since": pd.to_datetime(["2020-01-01", "2020-01-02"])}), [1.0, 5.0]
    ),
    "tenths": make_pipeline(OneHotEncoder(handle_unknown="ignore"), LinearRegression()).fit(
        pd.DataFrame({"a": [0.1, 0.2, 0.3]}, dtype="float32"), [1.0, 2.0, 4.0]
    ),
    "names": make_column_transformer(("passthrough", ["name"])).fit(pd.DataFrame({"name": ["a", "b"]})),
    "svc": SVC().fit([[0.0, 1.0], [1.0, 0.0]], ["a", "b"]),
    "dicts": make_pipeline(DictVectorizer(), LogisticRegression()).fit([{"a": 1}, {"b": 2}], [0, 1]),
    "times": make_pipeline(FunctionTransformer(hours), LinearRegression()).fit(
        pd.DataFrame({"since": pd.to_datetime(["2020-01-01T01:00", "2020-01-01T05:00"])}), [1.0, 5.0]
    ),
    "open": make_pipeline(FunctionTransformer(lengths), LinearRegression()).fit(
        pd.DataFrame({"a": ["x", "yy"], "b": [1, 22]}), [1.0, 2.0]
    ),
    "objects": make_pipeline(
        ColumnTransformer([("c", OneHotEncoder(handle_unknown="ignore"), [0]), ("n", SimpleImputer(), [1, 2])]), LinearRegression()
    ).fit(HOMES[["city", "area", "rooms"]].to_numpy(dtype=object), PRICES),
}  # fmt: skip


class Silent(BaseEstimator, TransformerMixin):
    """A transformer that keeps nothing of what it was trained on."""

    def fit(self, frame, target=None):
        self.fitted_ = True
        return self

    def transform(self, frame):
        return np.column_stack([frame["area"].fillna(0.0), frame["city"].isna()])


SILENT = make_pipeline(Silent(), LinearRegression()).fit(HOMES, PRICES)
COLUMNS = {"size": {"category": ["S", "M", "L"]}, "rooms": {"kind": "integer", "dtype": "Int64"}}
SIZED = make_pipeline(FunctionTransformer(codes), LinearRegression()).fit(SIZES, [1.0, 2.0, 3.0])


@pytest.fixture(scope="module")
def client():
    models = [
        model("sklearn", name=name, files={"model.joblib": partial(joblib.dump, each)}) for name, each in MODELS.items()
    ]
    sized = model(
        "sklearn",
        name="sizes",
        files={"model.joblib": partial(joblib.dump, SIZED)},
        parameters={"extra": {"columns": COLUMNS}},
    )
    silent = {"model.joblib": partial(joblib.dump, SILENT)}
    described = model(
        "sklearn",
        name="described",
        files=silent,
        parameters={"extra": {"columns": {"city": "text", "area": "float"}}},
    )
    with Client.of(*models, sized, described, model("sklearn", name="silent", files=silent)) as client:
        yield client


def tensor(name, data, content_type=None, datatype=None, shape=None):
    return Tensor(
        name, data, datatype, shape, parameters={} if content_type is None else {"content_type": content_type}
    )


def asked(client, name, inputs, **parameters):
    """The answers over every wire that carries the request, which must be one and the same."""
    request = as_request(inputs, parameters=parameters)
    answers = [form.infer(client, name, request) for form in FORMS if form.carries(request)]
    assert len({answer.status for answer in answers}) == 1
    return answers


def values(answers):
    first, *others = [answer["predict"].tolist() for answer in answers]
    assert all(other == first for other in others)
    return first


HOME = {"city": ["Ulm"], "area": [50.0], "rooms": [2], "balcony": [True]}


@pytest.mark.parametrize("city", ["", "nan", "Ulm", "Paris"])
def test_a_text_gives_the_pipelines_own_figure(client, city):
    own = FLATS.predict(pd.DataFrame(HOME | {"city": [city]}))
    assert values(asked(client, "flats", HOME | {"city": [city]})) == own.tolist()


def test_a_missing_city_can_be_said(client):
    own = FLATS.predict(
        pd.DataFrame({"city": pd.Series([None], dtype=object), "area": [50.0], "rooms": [2], "balcony": [True]})
    )
    columns = [tensor("area", [50.0]), tensor("rooms", [2]), tensor("balcony", [True])]
    assert values(asked(client, "flats", [tensor("city", [None], None, "BYTES"), *columns])) == own.tolist()
    assert values(asked(client, "flats", [tensor("city", ["null"], "pd_json"), *columns])) == own.tolist()


def test_all_as_texts_are_read_as_their_columns_are(client):
    own = FLATS.predict(pd.DataFrame(HOME))
    for yes in ("true", "True", "1"):
        assert values(asked(client, "flats", [tensor("x", [["Ulm", "50", "2", yes]])])) == own.tolist()


def test_the_codec_of_pandas_and_mlservers_form_of_it_are_taken(client):
    request = codecs.request_codec("pd").encode_request(HOMES)
    assert values(asked(client, "flats", request)) == FLATS.predict(HOMES).tolist()
    mlserver = {
        "parameters": {"content_type": "pd"},
        "inputs": [
            {
                "name": "city",
                "datatype": "BYTES",
                "shape": [1, 1],
                "data": ["Ulm"],
                "parameters": {"content_type": "str"},
            },
            {"name": "area", "datatype": "FP64", "shape": [1, 1], "data": [50]},
            {"name": "rooms", "datatype": "INT64", "shape": [1, 1], "data": [2], "parameters": {"content_type": "np"}},
            {"name": "balcony", "datatype": "BOOL", "shape": [1, 1], "data": [True]},
        ],
    }
    answer = client.post("/v2/models/flats/infer", mlserver)
    assert answer["predict"].tolist() == FLATS.predict(pd.DataFrame(HOME)).tolist()


@pytest.mark.parametrize(
    "request_body",
    [
        # MLServer's example for scikit-learn, and its client's default for numpy
        {"inputs": [{"name": "predict", "shape": [1, 2], "datatype": "FP32", "data": [[0.0, 1.0]]}]},
        {
            "parameters": {"content_type": "np"},
            "inputs": [{"name": "input-0", "shape": [1, 2], "datatype": "FP64", "data": [0.0, 1.0], "parameters": {"content_type": "np"}}],
        },
        # KServe's example for scikit-learn over V2
        {"inputs": [{"name": "input-0", "shape": [1, 2], "datatype": "FP32", "data": [[0.0, 1.0]]}]},
    ],
    ids=["MLServer", "MLServer's codec", "KServe"],
)  # fmt: skip
def test_example_requests_of_other_servers_are_answered(client, request_body):
    assert client.post("/v2/models/svc/infer", request_body)["predict"].tolist() == [b"a"]


@pytest.mark.parametrize("shape", [[2], [2, 1]])
@pytest.mark.parametrize("name", ["input", "predict", "x"])
def test_a_text_model_takes_a_list_and_a_column_under_any_name(client, name, shape):
    assert values(asked(client, "text", [tensor(name, ["good", "bad"], None, None, shape)])) == [b"+", b"-"]


@pytest.mark.parametrize("name", ["text-calibrated", "text-vote"])
def test_a_text_model_in_another_takes_texts(client, name):
    own = MODELS[name].predict(["good", "bad"]).tolist()
    assert values(asked(client, name, [tensor("x", ["good", "bad"])])) == [each.encode() for each in own]


def test_a_text_models_outputs_are_known(client):
    outputs = {each["name"]: (each["datatype"], each["shape"]) for each in client.metadata("text").json["outputs"]}
    assert outputs["predict"] == ("BYTES", [-1])
    assert outputs["predict_proba"] == ("FP64", [-1, 2])


def test_columns_that_the_pipeline_drops_may_be_left_out(client):
    own = STRICT.predict(pd.DataFrame({"city": ["Ulm"], "area": [50.0]}))
    assert values(asked(client, "strict", {"city": ["Ulm"], "area": [50.0]})) == own.tolist()
    assert values(asked(client, "strict", HOME)) == own.tolist()
    rows = [tensor("x", ['{"city": "Ulm", "area": 50}'], "json")]
    assert values(asked(client, "strict", rows)) == own.tolist()


def test_rows_for_an_array_of_words_and_numbers_are_objects(client):
    own = MODELS["objects"].predict(np.array([["Ulm", 50.0, 2.0]], dtype=object))
    assert values(asked(client, "objects", [tensor("x", [["Ulm", "50", "2"]])])) == own.tolist()
    assert values(asked(client, "objects", [tensor("x", ['["Ulm", 50, 2]'], "json")])) == own.tolist()


def test_objects_for_a_vectoriser_of_dicts_are_taken(client):
    assert values(asked(client, "dicts", [tensor("x", ['{"a": 3}', '{"b": 9}'], "json")])) == [0, 1]


def test_a_column_that_only_a_function_reads_is_known_from_trials(client):
    [since] = client.metadata("times").json["inputs"]
    assert (since["datatype"], since["parameters"]) == ("BYTES", {"content_type": "datetime"})
    assert values(asked(client, "times", [tensor("since", ["2020-01-01T03:00:00"])])) == pytest.approx([3.0])


def test_the_settings_say_what_the_pipeline_does_not(client):
    assert [each["datatype"] for each in client.metadata("sizes").json["inputs"]] == ["BYTES", "INT64"]
    inputs = [tensor("size", ["S", "L"]), tensor("rooms", [1.0, np.nan])]
    assert values(asked(client, "sizes", inputs)) == SIZED.predict(SIZES[:2]).tolist()


def test_the_settings_say_the_timezone_and_the_width_of_floats():
    moments = pd.to_datetime(["2020-01-01T01:00", "2020-07-01T05:00"]).tz_localize("Europe/Berlin")
    dated = pd.DataFrame({"since": moments})
    narrow = pd.DataFrame({"a": [0.1, 0.7], "b": [0.3, 0.2]}, dtype="float32")
    pipelines = {
        "dated": (make_pipeline(FunctionTransformer(hours), LinearRegression()).fit(dated, [1.0, 5.0]), {"since": {"kind": "datetime", "timezone": "Europe/Berlin"}}),
        "narrow": (make_pipeline(StandardScaler(), LinearRegression()).fit(narrow, [1.0, 2.0]), {key: {"kind": "number", "dtype": "float32"} for key in "ab"}),
    }  # fmt: skip
    models = [
        model("sklearn", name=name, files={"model.joblib": partial(joblib.dump, each)}, parameters={"extra": {"columns": columns}})
        for name, (each, columns) in pipelines.items()
    ]  # fmt: skip
    with Client.of(*models) as client:
        inputs = [tensor("since", [moment.isoformat() for moment in moments.tz_convert("UTC")])]
        assert values(asked(client, "dated", inputs)) == pipelines["dated"][0].predict(dated).tolist()
        inputs = [tensor("x", narrow.to_numpy(np.float64))]
        assert values(asked(client, "narrow", inputs)) == pipelines["narrow"][0].predict(narrow).tolist()


def test_an_encoded_float_is_found_in_the_width_of_training(client):
    own = MODELS["tenths"].predict(pd.DataFrame({"a": [0.1, 0.2]}, dtype="float32")).tolist()
    assert values(asked(client, "tenths", [tensor("a", [0.1, 0.2])])) == own
    assert values(asked(client, "tenths", [tensor("x", ['{"a": 0.1}', '{"a": 0.2}'], "json")])) == own


LONG = "x" * 500
REFUSED = [
    ("flats", HOME | {"city": [7.0]}, "Column 'city', row 0: the number 7.0 (FP64) stands where text belongs."),
    ("flats", [tensor("input", [[7.0, 50, 2, 1]])], "Column 'city', row 0: the number 7.0 (FP64) stands where text belongs."),
    ("flats", [tensor("input", [["Ulm", "", "2", "1"]])], "Column 'area', row 0: '' stands where a number belongs."),
    ("flats", HOME | {"area": ["50"]}, "Column 'area', row 0: '50' (BYTES) stands where a number belongs."),
    ("flats", [tensor("x", [["Ulm", LONG, "2", "1"]])], f"Column 'area', row 0: '{'x' * 79}…' stands where a number belongs."),
    ("flats", {name: HOME[name] for name in ("city", "area", "rooms")}, "Column 'balcony' is missing."),
    ("flats", HOME | {"zz": [1]}, "Column 'zz' is unknown; the model takes area, balcony, city, rooms."),
    ("flats", HOME | {"rooms": [1, 2]}, "Column 'city' has 1 rows and column 'rooms' has 2."),
    ("flats", HOME | {"rooms": [[1, 2]]}, "Input 'rooms' has the shape [1, 2]; a column has the shape [n] or [n, 1]."),
    ("flats", [tensor("city", ["Ulm"])], "Columns 'area', 'balcony', 'rooms' are missing."),
    ("strict", {"city": ["Ulm", LONG], "area": [1.0, 2.0]}, f"Found unknown categories: column 'city', row 1, is '{'x' * 79}…', which the model was not trained on."),
    ("strict", {"city": ["Ulm", "Ulm"], "area": [1.0, np.nan]}, "Input X contains NaN: column 'area', row 1."),
    ("boosted", {"city": ["Ulm", "Ulm"], "area": ["1", "nan"]}, "Column 'area', row 0: '1' (BYTES) stands where a number belongs."),
    ("boosted", [tensor("x", ['{"city": "Ulm", "area": "inf"}'], "json")], "Column 'area', row 0: 'inf' stands where a number belongs."),
    ("boosted", [tensor("x", ['{"city": "Ulm", "area": 1, "city": "Bonn"}'], "json")], "Input 'x', row 0: a JSON object has the key 'city' twice."),
    ("days", [tensor("since", ["2020-01-01", None], None, "BYTES")], "Found unknown categories: column 'since', row 1, is missing, which the model was not trained on."),
    ("days", [tensor("since", ["2020-01-01", "2020-01-03"])], "Found unknown categories: column 'since', row 1, is '2020-01-03 00:00:00', which the model was not trained on."),
    ("svc", [tensor("x", [[1.0, np.nan]])], "Input X contains NaN: column 1, row 0."),
    ("svc", [tensor("x", [["1", LONG]])], "Column 0, row 0: '1' (BYTES) stands where a number belongs."),
    ("svc", [tensor("x", [[1.0]])], "Input 'input' has the shape [1, 1]; the model takes rows of 2 features, so the shape must be [n, 2]."),
    ("text", [tensor("x", [[1.0]])], "Input 'input', row 0: the number 1.0 (FP64) stands where text belongs."),
    ("text", [tensor("x", [["a", "b"]])], "Input 'input' has the shape [1, 2]; the model takes one column, so the shape must be [n] or [n, 1]."),
    ("text", [tensor("x", ["a", None], None, "BYTES")], "Input 'input', row 1: a missing value stands where text belongs."),
    ("dicts", [tensor("x", ["3"], "json")], "The model cannot use these values; it raised AttributeError."),
    ("times", [tensor("since", ["noon"])], "Column 'since', row 0: 'noon' stands where a datetime in ISO 8601 belongs."),
    ("sizes", {"size": ["S", "XL"], "rooms": [1, 2]}, "Column 'size', row 1: 'XL' stands where one of the categories ('L', 'M', 'S') belongs."),
    ("sizes", {"size": ["S"], "rooms": [1.5]}, "Column 'rooms', row 0: the number 1.5 stands where an integer belongs."),
]  # fmt: skip


@pytest.mark.parametrize("name, inputs, sentence", REFUSED)
def test_what_does_not_fit_is_named_by_column_and_row(client, name, inputs, sentence):
    for answer in asked(client, name, inputs):
        assert (answer.status, answer.error) == (400, sentence)


def test_a_huge_integer_that_passes_through_comes_out_as_it_is(client):
    rows = [tensor("x", [json.dumps([2**80]), '["a"]'], "json", None, [2, 1])]
    for answer in asked(client, "names", rows):
        assert [json.loads(value) for value in answer["transform"].reshape(-1)] == [2**80, "a"]


def test_columns_of_any_kind_are_taken_as_the_datatype_says(client):
    assert [each["datatype"] for each in client.metadata("open").json["inputs"]] == ["", ""]
    own = MODELS["open"].predict(pd.DataFrame({"a": ["xyz"], "b": [7]}))
    assert values(asked(client, "open", {"a": ["xyz"], "b": [7]})) == own.tolist()


def test_a_pipeline_that_says_nothing_of_its_columns_takes_a_table_as_the_client_says_it(client):
    own = SILENT.predict(HOMES[["city", "area"]]).tolist()
    request = codecs.request_codec("pd").encode_request(HOMES[["area", "city"]])
    assert values(asked(client, "silent", request)) == own
    for answer in asked(client, "silent", {"area": [1.0], "city": ["Ulm"]}):
        assert (answer.status, answer.error.partition(";")[0]) == (
            400,
            "The model does not say which columns it was trained on, so their order is unknown",
        )


def test_a_pipeline_that_says_nothing_of_its_columns_has_those_of_its_settings(client):
    assert [(each["name"], each["datatype"]) for each in client.metadata("described").json["inputs"]] == [
        ("city", "BYTES"),
        ("area", "FP64"),
    ]
    own = SILENT.predict(HOMES[["city", "area"]]).tolist()
    rows = [json.dumps(row) for row in json.loads(HOMES[["area", "city"]].to_json(orient="records"))]
    assert values(asked(client, "described", [tensor("x", rows, "json")])) == own


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "columns, sentence",
    [
        (
            {"citi": "text"},
            "names 'citi', and the model was trained on area, balcony, city, rooms. Did you mean 'city'?",
        ),
        ({"city": "word"}, "Column 'city' of the settings has the unknown kind 'word'"),
        ({"city": {"kind": "text", "dtyp": "str"}}, "has the unknown key 'dtyp'"),
        ({"city": {"category": []}}, "has categories that are neither texts, numbers nor booleans"),
        ({"city": {"category": ["a", "a"]}}, "has a category twice"),
        ({"city": {"kind": "category"}}, "needs its categories"),
        ({"city": {"kind": "datetime", "timezone": "Mars"}}, "has the unknown timezone 'Mars'"),
        ({"city": {"kind": "text", "dtype": "strings"}}, "has the unknown dtype 'strings'"),
        ({"city": 3}, "must be a kind, or an object"),
    ],
)
def test_a_schema_that_cannot_be_is_refused_at_load(columns, sentence):
    given = model(
        "sklearn", files={"model.joblib": partial(joblib.dump, FLATS)}, parameters={"extra": {"columns": columns}}
    )
    with pytest.raises(LoadFailed) as refused, Client.of(given):
        pass
    assert sentence in str(refused.value)


TRUST = {"extra": {"trusted_types": ["_operator.neg"]}}
#: A pipeline with a function that skops does not trust of itself.
STRANGE = make_pipeline(FunctionTransformer(operator.neg), LinearRegression()).fit(np.array([[1.0], [2.0]]), [1, 2])
NUMBER = {"input": [[1.0]]}


def lay(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        if isinstance(content, dict):
            (folder / name).write_text(json.dumps(content))
        else:
            skops.io.dump(content, folder / name)
    return folder


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({"model-settings.json": {"name": "m", "runtime": "sklearn", "parameters": TRUST}, "model.skops": STRANGE}, id="the folder itself"),
        pytest.param({"model-settings.json": {"parameters": TRUST}, "m/model.skops": STRANGE}, id="defaults of the folder"),
    ],
)  # fmt: skip
def test_types_that_the_operator_vouches_for_are_loaded(tmp_path, files):
    with Client.of(lay(tmp_path, files)) as client:
        assert client.infer("m", NUMBER).ok


def test_types_that_a_models_own_file_vouches_for_are_refused(tmp_path):
    files = {"m/model-settings.json": {"runtime": "sklearn", "parameters": TRUST}, "m/model.skops": STRANGE}
    with pytest.raises(LoadFailed, match=r"does not trust: _operator.neg.*travels with the model"):
        Client.of(lay(tmp_path, files))


def test_a_pipeline_of_tables_needs_nobodys_word_as_skops(tmp_path):
    with Client.of(lay(tmp_path, {"m/model.skops": FLATS})) as client:
        assert client.infer("m", HOME).ok
