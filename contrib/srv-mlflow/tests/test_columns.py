"""Models with columns in their signature: types, missing values, optional columns, and what does not fit."""

import base64
import json

import numpy as np
import pandas as pd
import pytest

from srv import InferenceRequest, Tensor
from srv.codecs import request_codec
from srv.testing import FORMS, Client
from srv.testing.requests import as_request

ROW = {
    "flag": True,
    "short": 3,
    "long": 2**40,
    "small": 1.5,
    "number": 0.1,
    "text": "Köln",
    "raw": base64.b64encode(b"\xff\0").decode(),
    "since": "2020-01-02T03:04:05",
    "list": [1.5, 2.0],
    "object": {"k": "v"},
    "map": {"a": 1},
}


def as_rows(*rows):
    return InferenceRequest(
        [Tensor("rows", [json.dumps(row) for row in rows], "BYTES", parameters={"content_type": "json"})]
    )


def as_columns(**changed):
    """Return the request of one row, a tensor for each column; None leaves one out."""
    tensors = {
        "flag": Tensor("flag", np.array([True])),
        "short": Tensor("short", np.array([3], np.int32)),
        "long": Tensor("long", np.array([2**40])),
        "small": Tensor("small", np.array([1.5], np.float32)),
        "number": Tensor("number", np.array([0.1])),
        "text": Tensor("text", ["Köln"]),
        "raw": Tensor("raw", [ROW["raw"]]),
        "since": Tensor("since", [ROW["since"]]),
        "list": Tensor("list", ["[1.5, 2.0]"]),
        "object": Tensor("object", ['{"k": "v"}']),
        "map": Tensor("map", ['{"a": 1}']),
    } | changed
    return InferenceRequest([tensor for tensor in tensors.values() if tensor is not None])


@pytest.fixture(scope="module")
def client(given):
    models = [given(name, name) for name in ("echo", "kinds", "unnamed", "homes", "iris")]
    with Client.of(*models) as made:
        yield made


def test_each_column_has_the_type_of_the_signature(client):
    answer = client.infer("kinds", as_rows(ROW))
    kinds = json.loads(answer["output"][0])
    assert kinds.pop("text") in ("str", "object")
    assert kinds == {
        "flag": "bool",
        "short": "int32",
        "long": "int64",
        "small": "float32",
        "number": "float64",
        "raw": "object",
        "since": "datetime64[ns]",
        "list": "object",
        "object": "object",
        "map": "object",
    }


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_values_of_every_type_come_as_they_were_sent(client, form):
    answer = form.infer(client, "echo", as_columns())
    frame = request_codec("pd").decode_response(answer.response)
    [row] = frame.to_dict("records")
    assert row == {**ROW, "raw": b"\xff\0", "since": pd.Timestamp("2020-01-02T03:04:05")}


def test_metadata_has_the_types_of_the_signature(client):
    inputs = {each["name"]: each for each in client.metadata("echo").json["inputs"]}
    assert {name: (each["datatype"], each["parameters"]["content_type"]) for name, each in inputs.items()} == {
        "flag": ("BOOL", "np"),
        "short": ("INT32", "np"),
        "long": ("INT64", "np"),
        "small": ("FP32", "np"),
        "number": ("FP64", "np"),
        "text": ("BYTES", "str"),
        "raw": ("BYTES", "base64"),
        "since": ("BYTES", "datetime"),
        "list": ("BYTES", "json"),
        "object": ("BYTES", "json"),
        "map": ("BYTES", "json"),
        "more": ("BYTES", "str"),
        "maybe": ("BOOL", "np"),
    }
    assert [name for name, each in inputs.items() if each["parameters"].get("optional")] == ["more", "maybe"]
    outputs = {each["name"]: each["datatype"] for each in client.metadata("echo").json["outputs"]}
    assert outputs == {name: each["datatype"] for name, each in inputs.items()}


def test_an_optional_column_may_be_missing_in_some_rows(client):
    answer = client.infer("echo", as_rows({**ROW, "maybe": True, "more": "a"}, ROW))
    frame = request_codec("pd").decode_response(answer.response)
    assert frame["maybe"].tolist() in ([True, None], [True, pd.NA])
    assert frame["more"][0] == "a"
    assert pd.isna(frame["more"][1])


def test_text_and_numbers_may_be_missing(client):
    answer = client.infer("echo", as_rows({**ROW, "text": None, "number": None, "small": None, "since": None}, ROW))
    frame = request_codec("pd").decode_response(answer.response)
    assert frame[["text", "number", "small", "since"]].isna().to_numpy().tolist() == [[True] * 4, [False] * 4]


@pytest.mark.parametrize(
    "changed, sentence",
    [
        ({"short": 2.5}, "Column 'short', row 1: the number 2.5 stands where an integer belongs."),
        ({"short": 2**31}, "Column 'short', row 1: the number 2147483648 stands where a value of int32 belongs."),
        ({"short": None}, "Column 'short', row 1: a missing value stands where an integer belongs."),
        ({"long": None}, "Column 'long', row 1: a missing value stands where an integer belongs."),
        ({"flag": None}, "Column 'flag', row 1: a missing value stands where true or false belongs."),
        ({"flag": 1}, "Column 'flag', row 1: the number 1 stands where true or false belongs."),
        ({"small": 1e300}, "Column 'small', row 1: the number 1e+300 stands where a value of float32 belongs."),
        ({"number": "1"}, "Column 'number', row 1: '1' stands where a number belongs."),
        ({"text": 7}, "Column 'text', row 1: the number 7 stands where text belongs."),
        ({"raw": "no base64!"}, "Column 'raw', row 1: 'no base64!' stands where base64 belongs."),
        ({"since": "yesterday"}, "Column 'since', row 1: 'yesterday' stands where a datetime in ISO 8601 belongs."),
        ({"since": "2020-01-01T00:00:00+02:00"}, "Column 'since', row 1: "),
        ({"list": "text"}, "Column 'list', row 1: Expected data to be list or numpy array, got str."),
        ({"list": [1, "a"]}, "Column 'list', row 1: "),
        ({"object": {}}, "Column 'object', row 1: Missing required properties: {'k'}."),
        (
            {"object": {"k": 1}},
            "Column 'object', row 1: Failed to enforce schema for key `k`. Expected type string, received type int",
        ),
        ({"map": {"a": "b"}}, "Column 'map', row 1: "),
        ({"shrot": 1}, "Column 'shrot', row 1, is unknown; the model takes "),
    ],
    ids=lambda value: json.dumps(value)[:40] if isinstance(value, dict) else "",
)
def test_a_row_that_does_not_fit_is_a_400_with_a_sentence(client, changed, sentence):
    answer = client.infer("echo", as_rows(ROW, {**ROW, **changed}))
    assert (answer.status, answer.error[: len(sentence)]) == (400, sentence)


@pytest.mark.parametrize(
    "changed, sentence",
    [
        ({"text": None}, "Column 'text' is missing."),
        (
            {"text": Tensor("text", np.array([1]))},
            "Column 'text', row 0: the number 1 (INT64) stands where text belongs.",
        ),
        ({"number": Tensor("number", ["1.5"])}, "Column 'number', row 0: '1.5' (BYTES) stands where a number belongs."),
        ({"long": Tensor("long", np.array([np.nan]))}, "Column 'long', row 0: a missing value stands where an integer"),
        ({"number": Tensor("number", np.array([1.0, 2.0]))}, "Column 'flag' has 1 rows and column 'number' has 2."),
        ({"list": Tensor("list", ["[1"])}, "Column 'list', row 0: '[1' stands where the text of a JSON value belongs."),
        (
            {"number": Tensor("number", np.array([[1.0, 2.0]]))},
            "Input 'number' has the shape [1, 2]; a column has the shape",
        ),
        ({"other": Tensor("other", ["x"])}, "Column 'other' is unknown; the model takes"),
    ],
    ids=["left out", "number as text", "text as number", "nan", "rows", "no json", "shape", "unknown"],
)
def test_a_column_that_does_not_fit_is_a_400_with_a_sentence(client, changed, sentence):
    for form in FORMS:
        answer = form.infer(client, "echo", as_columns(**changed))
        assert (answer.status, answer.error[: len(sentence)]) == (400, sentence)


def test_columns_without_names_are_one_tensor_and_have_mlflows_own_names(client):
    answer = client.infer("unnamed", {"anything": np.array([[1.0, 2.0]])})
    assert json.loads(answer["output"][0]) == {"0": "float64", "1": "float64"}
    refused = client.infer("unnamed", {"x": np.array([[1.0, 2.0, 3.0]])})
    assert (
        refused.error
        == "Input 'input' has the shape [1, 3]; the model takes rows of 2 features, so the shape must be [n, 2]."
    )


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_thousand_rows_with_gaps_are_answered_as_by_mlflow(client, pyfunc, form):
    rows = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "city": rows.choice(["Ulm", "Bonn", "Kiel", "Rom"], 1000),
            "area": np.where(rows.random(1000) < 0.2, np.nan, rows.uniform(20, 200, 1000)),
            "rooms": rows.integers(1, 6, 1000),
            "balcony": rows.random(1000) < 0.5,
        }
    )
    answer = form.infer(client, "homes", as_request({name: frame[name].to_numpy() for name in frame}))
    np.testing.assert_array_equal(answer["output"], pyfunc("homes").predict(frame))


def test_numbers_of_all_columns_may_come_as_one_tensor(client, pyfunc):
    rows = np.random.default_rng(3).uniform(0, 8, (1000, 4))
    names = [each["name"] for each in client.metadata("iris").json["inputs"]]
    expected = pyfunc("iris").predict(pd.DataFrame(rows, columns=names))
    assert [name.decode() for name in client.infer("iris", {"x": rows})["output"]] == expected.tolist()


def test_a_missing_value_that_scikit_learn_refuses_is_a_400_with_its_place(client):
    rows = np.full((2, 4), 5.0)
    rows[1, 2] = np.nan
    answer = client.infer("iris", {"x": rows})
    assert (answer.status, answer.error) == (400, "Column 'petal length (cm)', row 1: Input X contains NaN.")
