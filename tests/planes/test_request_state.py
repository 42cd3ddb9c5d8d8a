"""What belongs to one request: its state and its ids, from srv_before_infer to srv_after_infer, on both faces."""

import copy
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from srv import InferenceRequest, InferenceResponse, InvalidInput, Runtime, Tensor
from srv.hookspecs import hookimpl
from srv.testing import Client, isolated_plugins, model

FORMS = ["json", "binary", "grpc", "grpc-typed"]


class Whole(Runtime):
    """Tells what it finds in the request's state, and adds to that."""

    def predict(self, request):
        if "hold" in request.parameters:
            BARRIER.wait(30)
        found = request.state.get("keeper.id", "nothing")
        request.state["model"] = "was here"
        return {"found": [found], "x": request["x"]}


class Pieces(Runtime):
    def predict_stream(self, request):
        for _ in range(3):
            yield {"found": [request.state["keeper.id"]]}


class Asks(Runtime):
    def predict(self, request):
        request.state["outer"] = True
        return self.server.infer("Whole", request)


BARRIER = threading.Barrier(2)


class Keeper:
    """Keeps the request's id in its state, does what its parameter `do` says, and notes what is there at the end."""

    def __init__(self):
        self.ended = []

    @hookimpl
    def srv_before_infer(self, request):
        request.state["keeper.id"] = request.id
        do = request.parameters.get("do")
        if do == "replace":
            other = InferenceRequest(request.inputs, id="another")
            other.state["keeper.other"] = True
            return other
        if do == "copy":
            return copy.copy(request)
        if do == "headers":
            return InferenceRequest(request.inputs, headers={"x-mine": "yes"})
        if do == "early":
            return InferenceResponse([Tensor("found", ["early"])])
        if do == "refuse":
            raise InvalidInput("Not you.")
        return None

    @hookimpl
    def srv_after_infer(self, request, response, error):
        self.ended.append(
            SimpleNamespace(state={**request.state}, headers={**request.headers}, id=request.id, response=response)
        )


@pytest.fixture(scope="module")
def served():
    keeper = Keeper()
    with isolated_plugins(hooks={"keeper": keeper}), Client.of(Whole, Pieces, Asks) as client:
        yield client, keeper


@pytest.fixture
def client(served):
    return served[0]


@pytest.fixture
def keeper(served):
    """The plugin of the server of all tests, which has noted nothing yet in this one."""
    keeper = served[1]
    keeper.ended.clear()
    return keeper


def ask(client, form, **said):
    return client.infer("Whole", {"x": [1.0]}, form=form, **said)


@pytest.mark.parametrize("form", FORMS)
def test_what_a_plugin_keeps_in_a_requests_state_is_there_in_the_model_and_at_the_end(client, keeper, form):
    answers = [ask(client, form, id=each) for each in ("one", "two")]

    assert [answer["found"].tolist() for answer in answers] == [[b"one"], [b"two"]]
    assert [ended.state for ended in keeper.ended] == [
        {"keeper.id": "one", "model": "was here"},
        {"keeper.id": "two", "model": "was here"},
    ]


@pytest.mark.parametrize("form", ["json", "grpc"])
def test_the_state_of_a_request_is_never_sent(client, form):
    response = ask(client, form, id="one").response

    assert (response.parameters, [tensor.name for tensor in response.outputs]) == ({}, ["found", "x"])
    assert all("keeper" not in str(tensor.parameters) for tensor in response.outputs)


@pytest.mark.parametrize("form", ["json", "grpc"])
@pytest.mark.parametrize(
    "do, state, found",
    [
        ("replace", {"keeper.id": "one", "keeper.other": True, "model": "was here"}, b"one"),
        ("copy", {"keeper.id": "one", "model": "was here"}, b"one"),
        ("early", {"keeper.id": "one"}, b"early"),
        ("refuse", {"keeper.id": "one"}, None),
    ],
)
def test_the_state_is_one_also_where_a_plugin_replaces_answers_or_refuses(client, keeper, form, do, state, found):
    answer = ask(client, form, id="one", parameters={"do": do})

    assert [ended.state for ended in keeper.ended] == [state]
    if found is None:
        assert answer.error == "Not you."
    else:
        assert (answer["found"].tolist(), answer.response.id) == ([found], "one")


@pytest.mark.parametrize("do", ["nothing", "replace", "early"])
@pytest.mark.parametrize("form", ["json", "grpc"])
def test_a_stream_has_one_state_from_its_beginning_to_its_end(client, keeper, form, do):
    answers = client.stream("Pieces", {"x": [1.0]}, id="one", parameters={"do": do}, form=form)

    assert {answer.response.id for answer in answers} == {"one"}
    assert [answer["found"].tolist() for answer in answers] == ([[b"early"]] if do == "early" else 3 * [[b"one"]])
    (ended,) = keeper.ended
    assert ended.state["keeper.id"] == "one"
    assert ended.response["found"].tolist() == answers[-1]["found"].tolist()


def test_requests_that_run_as_one_batch_have_a_state_each():
    started, go = threading.Event(), threading.Event()
    found = []

    class Batched(Runtime):
        def predict(self, request):
            found.append(request.state)
            if not started.is_set():
                started.set()
                go.wait(30)
            rows = len(request["x"])
            return {"output": np.full(rows, rows)}

    keeper = Keeper()
    batched = model(Batched, name="m", max_batch_size=3, max_batch_time=30.0, concurrency=1)
    with isolated_plugins(hooks={"keeper": keeper}), Client.of(batched) as client, ThreadPoolExecutor(4) as pool:
        waiting = client.assembled.registry.find("m").waiting
        first = pool.submit(client.infer, "m", {"x": [1.0]}, id="first")
        assert started.wait(30)
        others = [pool.submit(client.infer, "m", {"x": [1.0]}, id=each) for each in ("one", "two", "three")]
        end = time.monotonic() + 30
        while waiting() < 3 and time.monotonic() < end:
            time.sleep(0.001)
        go.set()

    assert first.result()["output"].tolist() == [1]
    assert [answer.result()["output"].tolist() for answer in others] == 3 * [[3]]
    assert found == [{}, {}]
    assert sorted(ended.id for ended in keeper.ended) == ["first", "one", "three", "two"]
    assert all(ended.state == {"keeper.id": ended.id} for ended in keeper.ended)


def test_requests_that_run_at_the_same_time_have_a_state_each(client, keeper):
    with ThreadPoolExecutor(2) as pool:
        answers = [*pool.map(lambda each: ask(client, "json", id=each, parameters={"hold": True}), ("one", "two"))]

    assert [answer["found"].tolist() for answer in answers] == [[b"one"], [b"two"]]
    assert all(ended.state == {"keeper.id": ended.id, "model": "was here"} for ended in keeper.ended)


def test_a_request_of_a_model_to_another_one_has_a_state_of_its_own(client, keeper):
    answer = client.infer("Asks", {"x": [1.0]}, id="one")

    inner, outer = keeper.ended  # the inner request ends first
    assert answer["found"].tolist() == [b"one"]
    assert inner.state == {"keeper.id": "one", "model": "was here"}
    assert outer.state == {"keeper.id": "one", "outer": True}


def test_nobody_pays_for_the_state_of_a_request_that_nobody_uses():
    seen = []
    look = hookimpl(lambda request: seen.append(request), specname="srv_after_infer")

    with isolated_plugins(hooks={"look": SimpleNamespace(srv_after_infer=look)}), Client.of(Words) as client:
        client.infer("Words", {"text_input": ["a"]})

    assert [request._state for request in seen] == [None]
    assert seen[0].state is seen[0].state


def test_a_requests_state_cannot_be_replaced_by_another_object():
    with pytest.raises(AttributeError, match="state"):
        InferenceRequest([]).state = {}


@pytest.mark.parametrize("given", [None, "mine", "not one id"])
@pytest.mark.parametrize("form", ["json", "grpc"])
def test_srv_after_infer_sees_the_id_of_every_request_also_of_one_that_was_replaced(client, keeper, form, given):
    headers = {} if given is None else {"x-request-id": given}
    do = ["nothing", "replace", "copy", "headers", "early", "refuse"]

    for each in do:
        ask(client, form, id="body", parameters={"do": each}, headers=headers)

    seen = [ended.headers["x-request-id"] for ended in keeper.ended]
    if given == "mine":
        assert seen == len(do) * ["mine"]
    else:
        assert [len(each) for each in seen] == len(do) * [32]
    assert [ended.id for ended in keeper.ended] == len(do) * ["body"]
    assert [each for each, ended in zip(do, keeper.ended, strict=True) if "x-mine" in ended.headers] == ["headers"]


def test_hooks_see_the_id_that_the_client_is_told_on_every_route_of_rest():
    seen = []
    look = {
        name: hookimpl(lambda request: seen.append(request.headers["x-request-id"]), specname=name)
        for name in ("srv_before_infer", "srv_after_infer")
    }
    text = {"inputs": [{"name": "text_input", "datatype": "BYTES", "shape": [1], "data": ["a"]}]}
    bodies = {
        "infer": text,
        "infer_stream": text,
        "generate": {"text_input": "a"},
        "generate_stream": {"text_input": "a"},
    }

    with isolated_plugins(hooks={"look": SimpleNamespace(**look)}), Client.of(Words) as client:
        answers = [client.post(f"/v2/models/Words/{path}", body) for path, body in bodies.items()]

    told = [answer.headers["x-request-id"] for answer in answers]
    assert [answer.ok for answer in answers] == len(bodies) * [True]
    assert seen == [each for each in told for _ in ("before", "after")]
    assert len(set(told)) == len(bodies)


class Words(Runtime):
    def predict(self, text_input: list[str]) -> list[str]:
        return text_input

    def predict_stream(self, text_input: list[str]):
        yield text_input
