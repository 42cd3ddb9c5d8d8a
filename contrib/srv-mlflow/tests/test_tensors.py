"""Models with tensors in their signature, and models without a signature."""

import json

import numpy as np
import pytest

from srv import InferenceRequest, Tensor
from srv.codecs import request_codec
from srv.testing import FORMS, Binary, Client
from srv.testing.requests import as_request

P, Q = np.array([[1, 2], [3, 4]], np.float32), np.array([[1, 2, 3], [4, 5, 6]])


@pytest.fixture(scope="module")
def client(given):
    with Client.of(
        *[given(name, name.replace(" ", "-")) for name in ("tensors", "texts", "one tensor", "anything")]
    ) as made:
        yield made


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_tensors_by_name_are_answered_as_by_mlflow(client, pyfunc, form):
    rows = np.random.default_rng(1)
    p, q = rows.random((1000, 2), np.float32), rows.integers(-(2**40), 2**40, (1000, 3))
    answer = form.infer(client, "tensors", as_request({"q": q, "p": p}))
    expected = pyfunc("tensors").predict({"p": p, "q": q})
    assert {name: answer[name].dtype for name in expected} == {"product": np.float32, "sums": np.int64}
    for name, array in expected.items():
        np.testing.assert_array_equal(answer[name], array)


def test_metadata_has_the_tensors_and_params_of_the_signature(client):
    metadata = client.metadata("tensors").json
    rows = [(each["name"], each["datatype"], each["shape"]) for each in metadata["inputs"] + metadata["outputs"]]
    assert rows == [
        ("p", "FP32", [-1, 2]),
        ("q", "INT64", [-1, 3]),
        ("product", "FP32", [-1, 2]),
        ("sums", "INT64", [-1]),
    ]
    assert metadata["parameters"]["params"] == {
        "by": {"type": "float", "default": 2.0},
        "stop": {"type": "string", "default": ["a"], "list": True},
    }


@pytest.mark.parametrize(
    "asked, sentence",
    [
        ({"p": P}, "Input 'q' is missing; the request brings 'p'."),
        ({"p": P, "q": Q, "pp": P}, "Input 'pp' is unknown; the model takes p, q. Did you mean 'p'?"),
        ({"p": P.astype(np.float64), "q": Q}, "Input 'p' has the datatype FP64; the model takes FP32."),
        ({"p": P[:, :1], "q": Q}, "Input 'p' has the shape [2, 1]; the model takes [-1, 2], -1 standing for any."),
        ({"p": P[0], "q": Q}, "Input 'p' has the shape [2]; the model takes [-1, 2], -1 standing for any."),
        ({"p": ["1"], "q": Q}, "Input 'p' has the datatype BYTES; the model takes FP32."),
        (
            [Tensor("p", P, parameters={"content_type": "str"}), Tensor("q", Q)],
            "Input 'p' has the content type 'str'; the model takes numbers without one.",
        ),
    ],
    ids=["missing", "unknown", "datatype", "shape", "rank", "texts", "content type"],
)
def test_a_tensor_that_does_not_fit_is_a_400_with_a_sentence(client, asked, sentence):
    for form in FORMS:
        answer = form.infer(client, "tensors", as_request(asked))
        assert (answer.status, answer.error) == (400, sentence)


@pytest.mark.parametrize(
    "parameters, by", [({}, 2), ({"by": 3.5}, 3.5), ({"by": 3}, 3), ({"stop": ["x", "y"], "priority": 1}, 2)], ids=str
)
def test_params_have_the_defaults_of_the_signature(client, parameters, by):
    assert client.infer("tensors", {"p": P, "q": Q}, parameters=parameters)["product"].tolist() == (P * by).tolist()


@pytest.mark.parametrize(
    "parameters, sentence",
    [
        ({"by": "3"}, "Parameter 'by' is '3'; the model takes a value of the type float."),
        ({"by": True}, "Parameter 'by' is 'True'; the model takes a value of the type float."),
        ({"by": [3.0]}, "Parameter 'by' is '[3.0]'; the model takes a value of the type float."),
        ({"stop": "a"}, "Parameter 'stop' is 'a'; the model takes a list of string."),
        ({"stop": ["a", 1]}, "Parameter 'stop' is '['a', 1]'; the model takes a list of string."),
        ({"bye": 3.0}, "Parameter 'bye' is unknown; the model takes by, stop. Did you mean 'by'?"),
    ],
    ids=str,
)
def test_a_param_that_does_not_fit_is_a_400_with_a_sentence(client, parameters, sentence):
    answer = client.infer("tensors", {"p": P, "q": Q}, parameters=parameters)
    assert (answer.status, answer.error) == (400, sentence)


def test_texts_are_texts_for_the_model(client):
    answer = client.infer("texts", {"any name": [["Köln"], ["a"]]})
    assert (answer["output"].tolist(), answer["output"].shape) == ([["Köln".encode()], [b"a"]], (2, 1))
    refused = Binary().infer(client, "texts", as_request([Tensor("x", [[b"\xff"]])]))
    assert (refused.status, "UTF-8" in refused.error) == (400, True)


def test_one_tensor_without_a_name_comes_alone_and_under_any_name(client):
    assert json.loads(client.infer("one-tensor", {"x": np.ones((2, 3))})["output"][0]) == ["ndarray", "float64"]
    refused = client.infer("one-tensor", {"x": np.ones((2, 3)), "y": np.ones((2, 3))})
    assert refused.error == "Input 'x' is unknown; the model takes input."


def test_without_a_signature_content_types_say_what_the_model_gets(client):
    def told(asked, **parameters):
        return json.loads(client.infer("anything", asked, parameters=parameters)["output"][0])

    assert told({"x": np.ones((2, 3), np.float32)}) == ["ndarray", "float32"]
    assert told({"x": np.ones(2), "y": np.ones(3, np.int64)}) == {"x": ["float64", [2]], "y": ["int64", [3]]}
    assert told({"x": np.ones(2), "y": np.ones(2, np.int64)}, content_type="pd") == {"x": "float64", "y": "int64"}
    assert told([Tensor("x", ["a"], parameters={"content_type": "str"})]) == ["list", ""]
    assert client.metadata("anything").json["inputs"] == []
    assert client.infer("anything", []).error == "The request brings no input, and the model needs one."


def test_a_table_of_the_request_codec_reaches_a_model_without_a_signature(client):
    import pandas as pd

    request = request_codec("pd").encode_request(pd.DataFrame({"s": ["a"], "n": [1.5]}))
    assert isinstance(request, InferenceRequest)
    assert json.loads(client.infer("anything", request)["output"][0])["n"] == "float64"
