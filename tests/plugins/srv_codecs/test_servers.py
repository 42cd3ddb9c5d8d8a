"""The codecs in a server: in JSON and as binary data, as arguments and as what is returned."""
# ruff: noqa: DTZ001  naive datetimes are half of the matter

import json
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from srv import InferenceRequest, Runtime
from srv.codecs import input_codec, request_codec
from srv.testing import Client, model
from srv.wire.raw_tensors import write_raw

TABLE = pd.DataFrame(
    {"age": [1, 2], "size": [1.5, None], "name": ["a", "ü"], "note": ["x", None], "when": [datetime(2026, 1, 2)] * 2}
).astype({"when": "datetime64[us]"})
# What MLServer 1.7's PandasCodec sends for a table.
OF_MLSERVER = {
    "parameters": {"content_type": "pd"},
    "inputs": [
        {"name": "age", "shape": [2, 1], "datatype": "INT64", "data": [1, 2]},
        {"name": "size", "shape": [2, 1], "datatype": "FP64", "data": [1.5, None]},
        {"name": "ok", "shape": [2, 1], "datatype": "BOOL", "data": [True, False]},
        {
            "name": "name",
            "shape": [2, 1],
            "datatype": "BYTES",
            "parameters": {"content_type": "str"},
            "data": ["a", "ü"],
        },
        {
            "name": "tags",
            "shape": [2, 1],
            "datatype": "BYTES",
            "parameters": {"content_type": "pd_json"},
            "data": ["[1]", '{"a":null}'],
        },
    ],
}


class Table(Runtime):
    def predict(self, table: pd.DataFrame) -> pd.DataFrame:
        return table


class Types(Runtime):
    def predict(self, table: pd.DataFrame, request: InferenceRequest):
        return {name: [str(value) for value in table[name]] for name in table}


class Octets(Runtime):
    def predict(self, x: list[bytes]) -> list[bytes]:
        return [element[::-1] for element in x]


class Moments(Runtime):
    def predict(self, x: list[datetime]) -> list[datetime]:
        return [moment.replace(year=2000) for moment in x]


class Values(Runtime):
    def predict(self, x: list[Any]) -> list[Any]:
        return [[element] for element in x]


class Odd(Runtime):
    def predict(self, request: InferenceRequest):
        return pd.DataFrame({"fine": [1], "odd": [1j]})


class RawBytes(Runtime):
    def predict(self, request: InferenceRequest):
        return np.array([b"\xff\xfe", b"a"], dtype=object)


@pytest.fixture(scope="module")
def client():
    runtimes = [Table, Types, Octets, Moments, Values, Odd, RawBytes]
    with Client.of(*(model(runtime, name=runtime.__name__.lower()) for runtime in runtimes)) as client:
        yield client


def binary(client, name, request):
    """Ask with all inputs, and for all outputs, as binary data; what comes is read into a response's JSON and bytes."""
    pieces = [bytes(write_raw(tensor)) for tensor in request.inputs]
    inputs = [
        {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": list(tensor.shape),
            "parameters": {**tensor.parameters, "binary_data_size": len(piece)},
        }
        for tensor, piece in zip(request.inputs, pieces, strict=True)
    ]
    head = json.dumps({"inputs": inputs, "parameters": {**request.parameters, "binary_data_output": True}}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    return client.post(f"/v2/models/{name}/infer", head + b"".join(pieces), headers=headers)


CASES = {
    "octets": ("base64", [b"\xff\x00a", b""], [b"a\x00\xff", b""]),
    "moments": ("datetime", [datetime(2026, 1, 2, 3)], [datetime(2000, 1, 2, 3)]),
    "values": ("json", [{"a": None}, 1], [[{"a": None}], [1]]),
}


@pytest.mark.parametrize("content_type, value, answer", CASES.values(), ids=CASES)
def test_a_value_goes_there_and_back_in_json(client, request, content_type, value, answer):
    codec = input_codec(content_type)

    given = client.infer(request.node.callspec.id, InferenceRequest([codec.encode("x", value)]))

    assert given.ok, given.body
    (output,) = given.response.outputs
    assert output.parameters["content_type"] == content_type
    assert codec.decode(output) == answer


@pytest.mark.parametrize("content_type, value, answer", CASES.values(), ids=CASES)
def test_a_value_goes_there_and_back_as_binary_data(client, request, content_type, value, answer):
    codec = input_codec(content_type)

    given = binary(client, request.node.callspec.id, InferenceRequest([codec.encode("x", value)]))

    assert given.ok, given.body
    length = int(given.headers["inference-header-content-length"])
    (output,) = msgspec.json.decode(given.body[:length])["outputs"]
    assert output["parameters"]["content_type"] == content_type
    assert given.body[length:] == bytes(write_raw(codec.encode("output", answer)))


def test_the_type_hint_reads_what_says_no_content_type(client):
    given = client.infer("octets", {"x": ["YWI="]})

    assert given.response.outputs[0].data.tolist() == [b"YmE="]


def test_what_is_not_of_the_content_type_is_a_400_that_names_the_input(client):
    given = client.infer("octets", {"x": ["?"]})

    assert (given.status, given.code) == (400, "INVALID_INPUT")
    assert given.error == "inputs[0].data[0]: expected base64, with the standard alphabet and padding."


def test_the_metadata_says_what_the_hints_mean(client):
    assert client.metadata("octets").json["inputs"] == [
        {"name": "x", "datatype": "BYTES", "shape": [-1], "parameters": {"content_type": "base64"}}
    ]
    assert client.metadata("table").json["inputs"] == []


def test_a_table_goes_there_and_back_in_json(client):
    codec = request_codec("pd")

    given = client.infer("table", codec.encode_request(TABLE))

    assert given.ok, given.body
    assert given.response.parameters == {"content_type": "pd"}
    assert_frame_equal(codec.decode_response(given.response), TABLE)


def test_a_table_goes_there_and_back_as_binary_data(client):
    given = binary(client, "table", request_codec("pd").encode_request(TABLE))

    assert given.ok, given.body
    length = int(given.headers["inference-header-content-length"])
    tensors = request_codec("pd").encode_response(TABLE).outputs
    assert given.body[length:] == b"".join(bytes(write_raw(tensor)) for tensor in tensors)


def test_a_table_needs_no_content_type_where_the_hint_says_it(client):
    given = client.infer("types", {"age": [1, 2], "name": ["a", "b"]})

    assert given["age"].tolist() == [b"1", b"2"]
    assert given["name"].tolist() == [b"a", b"b"]


def test_outputs_of_a_table_are_chosen_like_all_others(client):
    given = client.infer("table", {"age": [1], "size": [2.5]}, outputs=["size"])

    assert_frame_equal(request_codec("pd").decode_response(given.response), pd.DataFrame({"size": [2.5]}))


def test_what_mlservers_pandas_codec_sends_is_read(client):
    given = client.post("/v2/models/types/infer", OF_MLSERVER)

    assert given.ok, given.body
    assert {output.name: output.data.tolist() for output in given.response.outputs} == {
        "age": [b"1", b"2"],
        "size": [b"1.5", b"nan"],
        "ok": [b"True", b"False"],
        "name": [b"a", "ü".encode()],
        "tags": [b"[1]", b"{'a': None}"],
    }


def test_columns_of_different_lengths_are_a_400(client):
    given = client.infer("table", {"age": [1], "size": [2.5, 3.5]})

    assert (given.status, given.code) == (400, "INVALID_INPUT")
    assert given.error == "The tensors cannot be read as content type 'pd': 'age' has 1 rows and 'size' has 2."


def test_a_column_that_cannot_be_sent_is_the_models_error_that_names_column_and_type(client):
    given = client.infer("odd", {"x": [1]})

    assert (given.status, given.code) == (500, "MODEL_ERROR")
    assert given.error == (
        "predict returned what cannot be sent. Column 'odd' of type complex128 cannot be sent: it holds complex."
    )


def test_bytes_that_json_cannot_say_can_be_asked_for_as_base64(client):
    refused = client.infer("rawbytes", {"x": [1]})
    asked = client.post(
        "/v2/models/rawbytes/infer",
        {"inputs": [], "outputs": [{"name": "output", "parameters": {"content_type": "base64"}}]},
    )

    assert (refused.status, refused.code) == (400, "INVALID_INPUT")
    assert "content type base64" in refused.error
    assert input_codec("base64").decode(asked.response.outputs[0]) == [b"\xff\xfe", b"a"]


def test_in_a_tables_datetimes_null_is_missing_both_ways():
    texts = ["2026-03-29T01:00:00+01:00", None, "2026-03-29T04:00:00+02:00"]
    when = {
        "name": "when",
        "shape": [3],
        "datatype": "BYTES",
        "data": texts,
        "parameters": {"content_type": "datetime"},
    }
    with Client.of(model(Table)) as client:
        answer = client.post("/v2/models/Table/infer", {"inputs": [when]})

    (output,) = answer.json["outputs"]
    assert output["data"] == ["2026-03-29T00:00:00+00:00", None, "2026-03-29T02:00:00+00:00"]
    assert output["parameters"] == {"content_type": "datetime"}


class Gaps(Runtime):
    missing_values = True

    def predict(self, table: pd.DataFrame):
        return {"missing": table["x"].isna().to_numpy(), "rest": table["x"].dropna().astype("str").tolist()}


COLUMNS_WITH_GAPS = {
    "str": (["a", None], {}),
    "datetime by the request": (["2026-01-02", None], {"content_type": "datetime"}),
    "base64": (["QQ==", None], {"content_type": "base64"}),
    "json": (["1", None], {"content_type": "pd_json"}),
}


@pytest.mark.parametrize("data, parameters", COLUMNS_WITH_GAPS.values(), ids=COLUMNS_WITH_GAPS)
def test_null_is_missing_in_each_kind_of_column_where_the_runtime_knows_missing_values(data, parameters):
    tensor = {"name": "x", "shape": [2], "datatype": "BYTES", "data": data, "parameters": parameters}
    with Client.of(model(Gaps)) as client:
        answer = client.post("/v2/models/Gaps/infer", {"inputs": [tensor]})

    assert answer["missing"].tolist() == [False, True]


@pytest.mark.parametrize("content_type", [{}, {"content_type": "str"}], ids=["none", "str"])
def test_null_in_other_text_is_bad_input(content_type):
    when = {"name": "x", "shape": [2], "datatype": "BYTES", "data": ["a", None], "parameters": content_type}
    with Client.of(model(Table)) as client:
        answer = client.post("/v2/models/Table/infer", {"inputs": [when]})

    assert answer.status == 400
    assert "'x': its value [1] is null" in answer.error
