"""A runtime that says `missing_values` gets JSON's null in BYTES as None; every other one refuses it."""

import json
import threading
import time

import numpy as np
import pytest

from srv.hookspecs import hookimpl
from srv.messages import InferenceRequest, InferenceResponse
from srv.runtime import Runtime
from srv.tensors import Tensor, UnfitArray
from srv.testing import FORMS, model
from srv.testing.requests import as_request
from srv.wire.raw_tensors import write_raw
from srv_cache.keys import key_of


class Gaps(Runtime):
    """Tells where values are missing."""

    missing_values = True

    def predict(self, request: InferenceRequest) -> InferenceResponse:
        gone = np.array([value is None for value in request["x"].reshape(-1)]).reshape(request["x"].shape)
        return InferenceResponse([Tensor("gone", gone), Tensor("rows", np.full(gone.shape, gone.size))])


class Strict(Runtime):
    def predict(self, request: InferenceRequest) -> InferenceResponse:
        return InferenceResponse(request.inputs)


class Echo(Strict):
    missing_values = True


class Words(Runtime):
    missing_values = True

    def predict(self, x: list[str]) -> list[str]:
        return x


def asked(data, shape=None, datatype="BYTES"):
    return {
        "inputs": [{"name": "x", "datatype": datatype, "shape": [len(data)] if shape is None else shape, "data": data}]
    }


@pytest.mark.parametrize(
    "data, shape, gone",
    [
        (["a", None, ""], [3], [False, True, False]),
        ([None], [1], [True]),
        ([None, None], [2, 1], [True, True]),
        ([["a", "null"], [None, "b"]], [2, 2], [False, False, True, False]),
        (["null"], [1], [False]),
        (None, [], [True]),
        ([], [0], []),
    ],
    ids=["between", "alone", "a column", "nested", "the word null", "a scalar", "nothing"],
)
def test_null_is_none_in_the_array(srv_client, data, shape, gone):
    answer = srv_client(Gaps).post("/v2/models/Gaps/infer", asked(data, shape))

    assert answer.ok, answer
    assert answer["gone"].reshape(-1).tolist() == gone


@pytest.mark.parametrize(
    "data, shape, what",
    [
        (["a", None], [2], "its value [1] is null"),
        ([["a"], [None]], [2, 1], "its value [1][0] is null"),
        (None, [], "it is null"),
    ],
    ids=["flat", "nested", "a scalar"],
)
def test_a_runtime_that_says_nothing_of_missing_values_refuses_null(srv_client, data, shape, what):
    answer = srv_client(Strict).post("/v2/models/Strict/infer", asked(data, shape))

    assert (answer.status, answer.code) == (400, "INVALID_INPUT")
    assert answer.error == f"Input 'x': {what}; this model takes no missing values."


@pytest.mark.parametrize(
    "datatype, value, kind, instead",
    [
        ("INT64", 1, "integer", "FP64 or with the content type pd"),
        ("UINT8", 1, "integer", "FP64 or with the content type pd"),
        ("BOOL", True, "boolean", "BYTES of the content type pd_json: 'true', 'false', 'null'"),
    ],
)
@pytest.mark.parametrize("runtime", [Gaps, Strict])
def test_null_in_integers_and_booleans_is_refused_with_what_to_send(
    srv_client, runtime, datatype, value, kind, instead
):
    answer = srv_client(runtime).post(f"/v2/models/{runtime.__name__}/infer", asked([value, None], datatype=datatype))

    assert (answer.status, answer.error) == (
        400,
        f"inputs[0].data[1]: expected {kind}, got null; send missing values as {instead}.",
    )


def test_a_value_of_another_kind_is_told_without_null(srv_client):
    answer = srv_client(Gaps).post("/v2/models/Gaps/infer", asked(["a", None, 1]))

    assert answer.error == "inputs[0].data[2]: expected string, got integer."


def test_the_codec_of_text_has_no_value_for_null(srv_client):
    answer = srv_client(Words).post("/v2/models/Words/infer", asked(["a", None]))

    assert (answer.status, answer.code) == (400, "INVALID_INPUT")
    assert "holds null" in answer.error


@pytest.mark.parametrize("parameters", [{}, {"binary_data_output": True}], ids=["JSON", "binary"])
def test_an_output_with_a_missing_value_is_the_models_error(srv_client, parameters):
    answer = srv_client(Echo).post("/v2/models/Echo/infer", asked(["a", None]) | {"parameters": parameters})

    assert (answer.status, answer.code) == (500, "MODEL_ERROR")
    assert "missing value (None) in the output 'x' of BYTES" in answer.error


def test_the_runtime_that_echoes_texts_without_gaps_is_answered(srv_client):
    assert srv_client(Echo).post("/v2/models/Echo/infer", asked(["a", "b"]))["x"].tolist() == [b"a", b"b"]


def test_requests_with_and_without_missing_values_run_as_one(srv_client):
    started, go = threading.Event(), threading.Event()

    class Held(Gaps):
        def predict(self, request: InferenceRequest) -> InferenceResponse:
            if not started.is_set():
                started.set()
                go.wait(10)
            return super().predict(request)

    client = srv_client(model(Held, name="Held", max_batch_size=8, max_batch_time=5.0, concurrency=1))
    answers = {}

    def ask(name, data):
        answers[name] = client.post("/v2/models/Held/infer", asked(data))

    first = threading.Thread(target=ask, args=("first", ["x"]))
    first.start()
    assert started.wait(10)
    others = [threading.Thread(target=ask, args=(str(data), data)) for data in (["a"], [None], ["b", None])]
    for thread in others:
        thread.start()
    waiting = client.assembled.registry.find("Held").waiting
    until = time.monotonic() + 10
    while waiting() < 3 and time.monotonic() < until:
        time.sleep(0.001)
    go.set()
    for thread in (first, *others):
        thread.join(10)

    assert {name: answer["gone"].tolist() for name, answer in answers.items()} == {
        "first": [False],
        "['a']": [False],
        "[None]": [True],
        "['b', None]": [False, True],
    }
    assert max(answer["rows"].max() for answer in answers.values()) == 4


def test_warm_up_requests_may_have_missing_values(srv_client):
    assert srv_client(model(Gaps, name="Gaps", warmup=[asked([None])])).get("/v2/models/Gaps/ready").ok


def test_tensors_with_missing_values_go_out_as_json_and_in_no_other_form():
    request = as_request({"x": Tensor("x", ["a", None])})

    assert [form.name for form in FORMS if form.carries(request)] == ["JSON"]


def test_a_tensor_with_missing_values_has_no_bytes():
    with pytest.raises(UnfitArray, match="missing values"):
        write_raw(Tensor("x", ["a", None]))


def test_the_memory_of_answers_tells_what_is_missing_from_what_is_empty():
    keys = {
        key_of(InferenceRequest([Tensor("x", data)])) for data in (["a", None], ["a", ""], ["a", "null"], [None, "a"])
    }

    assert len(keys) == 4


def test_hooks_may_fill_what_is_missing(srv_client, isolated_plugins):
    class Fills:
        @hookimpl
        def srv_before_infer(self, model, request):
            data = [b"?" if value is None else value for value in request["x"].tolist()]
            return InferenceRequest([Tensor("x", data)])

    isolated_plugins(hooks={"fills": Fills()})

    assert srv_client(Strict).post("/v2/models/Strict/infer", asked(["a", None]))["x"].tolist() == [b"a", b"?"]


def test_hooks_that_pass_missing_values_on_bring_nothing_past_the_check(srv_client, isolated_plugins):
    class Copies:
        @hookimpl
        def srv_before_infer(self, model, request):
            return InferenceRequest([Tensor("x", request["x"])])

    isolated_plugins(hooks={"copies": Copies()})

    assert srv_client(Strict).post("/v2/models/Strict/infer", asked(["a", None])).code == "INVALID_INPUT"


def test_the_journal_writes_a_request_with_missing_values(srv_client, isolated_plugins, tmp_path):
    isolated_plugins()
    client = srv_client(Gaps, settings={"event_log": {"file": str(tmp_path / "events")}})

    answer = client.post("/v2/models/Gaps/infer", asked(["a", None]))
    client.close()

    assert answer.ok
    events = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    assert [event["inputs"] for event in events if event["event"] == "request"] == [["x BYTES [2]"]]
