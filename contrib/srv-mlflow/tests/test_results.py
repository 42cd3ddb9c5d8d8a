"""What models give, as outputs: arrays, tables, texts, and all else as JSON values."""

import numpy as np
import pytest

from srv.testing import Client

ROW = {"x": np.array([1.0])}


@pytest.fixture(scope="module")
def client(given):
    names = ("results", "hinted", "shouting", "failing")
    with Client.of(*[given(name, name) for name in names]) as made:
        yield made


@pytest.mark.parametrize(
    "kind, outputs",
    [
        ("array", [("output", "FP64", [2, 2], [1.5, 2.0, 3.0, 4.0], None)]),
        ("texts in an array", [("output", "BYTES", [1, 2], ["a", "b"], None)]),
        ("mixture in an array", [("output", "BYTES", [1], ['["a",1]'], "json")]),
        ("objects in a row", [("output", "BYTES", [2], ['"a"', "null"], "json")]),
        ("frame", [("n", "INT64", [2], [1, 2], None), ("s", "BYTES", [2], ["a", "b"], "str")]),
        ("frame without names", [("0", "INT64", [1], [1], None), ("1", "FP64", [1], [2.5], None)]),
        ("series", [("output", "FP64", [2], [1.5, 2.5], None)]),
        ("numbers", [("output", "INT64", [2], [1, 2], None)]),
        ("booleans", [("output", "BOOL", [2], [True, False], None)]),
        ("texts", [("output", "BYTES", [2], ["a", "b"], "str")]),
        ("rows", [("output", "INT64", [2, 2], [1, 2, 3, 4], None)]),
        ("ragged", [("output", "BYTES", [2], ["[1]", "[2,3]"], "json")]),
        ("objects", [("output", "BYTES", [2], ['{"a":1}', '{"a":null}'], "json")]),
        (
            "dict",
            [
                ("x", "FP64", [1], [1.0], None),
                ("y", "BYTES", [1], ["t"], "str"),
                ("z", "BYTES", [1], ['{"deep":[1]}'], "json"),
            ],
        ),
        ("text", [("output", "BYTES", [1], ["hello"], "str")]),
        ("number", [("output", "FP64", [1], [2.5], None)]),
        ("scalar", [("output", "FP32", [1], [1.5], None)]),
        ("nothing", [("output", "BYTES", [1], ["null"], "json")]),
        ("empty", [("output", "BYTES", [0], [], "json")]),
        ("arrays", [("output", "INT64", [2, 2], [1, 2, 3, 4], None)]),
        ("decimal", [("output", "BYTES", [1], ['"1.5"'], "json")]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_kind_of_result_has_its_form(client, kind, outputs):
    answer = client.infer("results", ROW, parameters={"kind": kind})
    assert answer.status == 200, answer.error
    given = [
        (each["name"], each["datatype"], each["shape"], each["data"], each.get("parameters", {}).get("content_type"))
        for each in answer.json["outputs"]
    ]
    assert [(*each[:4], None if each[4] == "np" else each[4]) for each in given] == outputs


def test_what_no_tensor_can_carry_is_a_500_that_names_no_value(client):
    answer = client.infer("results", ROW, parameters={"kind": "odd"})
    assert (answer.status, answer.code) == (500, "MODEL_ERROR")


def test_an_output_of_the_signature_may_be_chosen(client):
    assert client.infer("shouting", {"x": ["a"]}, outputs=["output"])["output"].tolist() == [b"A"]
    assert client.infer("shouting", {"x": ["a"]}, outputs=["other"]).status == 400


def test_what_the_model_itself_raises_is_a_500_and_its_word_to_the_client_a_400(client):
    failed = client.infer("failing", {"how": ["value"]})
    assert (failed.status, failed.code, "secret" in failed.error) == (500, "MODEL_ERROR", False)
    refused = client.infer("failing", {"how": ["input"]})
    assert (refused.status, refused.error) == (400, "This word is not taken.")


def test_objects_become_what_the_type_hint_says(client):
    body = {
        "inputs": [
            {"name": "any", "datatype": "BYTES", "shape": [2], "data": ['{"text": "a"}', '{"text": "b", "top": 7}']}
        ]
    }
    assert client.post("/v2/models/hinted/infer", body).json["outputs"][0]["data"] == ["a 4", "b 8"]
    body["inputs"][0]["data"] = ['{"text": "a"}', '{"text": 1}']
    refused = client.post("/v2/models/hinted/infer", body)
    assert (refused.status, "text" in refused.error) == (400, True)
    body["inputs"][0]["data"] = ["{", "{}"]
    assert "is not JSON" in client.post("/v2/models/hinted/infer", body).error
    assert client.metadata("hinted").json["inputs"] == [
        {"name": "input", "datatype": "BYTES", "shape": [-1], "parameters": {"content_type": "json"}}
    ]


def test_a_stream_gives_the_outputs_of_each_chunk(client):
    frames = [answer.json["outputs"] for answer in client.stream("shouting", {"x": ["good day"]})]
    assert [[(each["name"], each["data"]) for each in frame] for frame in frames] == [
        [("word", ["GOOD"]), ("length", [4])],
        [("word", ["DAY"]), ("length", [3])],
    ]
    *_, last = client.stream("shouting", {"x": ["good !"]})
    assert (last.code, "no such word" in last.error) == ("MODEL_ERROR", False)


def test_a_model_without_a_stream_says_so(client):
    [answer] = list(client.stream("results", ROW))
    assert "does not answer with streams" in answer.error
