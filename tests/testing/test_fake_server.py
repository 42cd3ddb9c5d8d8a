import asyncio
import time

import numpy as np
import pytest

from srv import InferenceRequest, InferenceResponse, InvalidInput, Runtime, Tensor
from srv.errors import DeadlinePassed, NotFound, Unavailable
from srv.model_settings import ModelSettings
from srv.planes.asking import BlocksEventLoop
from srv.testing import FakeServer, assert_runtime_conforms


class Sum(Runtime):
    def predict(self, request):
        return self.server.infer("a", request)["output"] + self.server.infer("b", request)["y"]


def floats(*values):
    return InferenceRequest([Tensor("x", np.array(values))], id="mine")


def test_a_runtime_made_by_hand_asks_the_models_that_a_test_gives_it():
    runtime = Sum(ModelSettings(name="sum"))
    runtime.server = FakeServer({"a": [1.0, 2.0], "b": lambda request: {"y": request["x"] * 10}})

    assert runtime.predict(floats(3.0, 4.0)).tolist() == [31.0, 42.0]
    assert [(asked.name, asked.request["x"].tolist()) for asked in runtime.server.asked] == [
        ("a", [3.0, 4.0]),
        ("b", [3.0, 4.0]),
    ]


def test_a_runtime_without_a_server_says_what_to_give_it():
    with pytest.raises(
        Unavailable, match=r"no server runs\. In a test, give the runtime or hook a srv\.testing\.FakeServer"
    ):
        Sum(ModelSettings(name="sum")).predict(floats(1.0))
    with pytest.raises(Unavailable, match="'folder' of the server"):
        _ = Sum(ModelSettings(name="sum")).server.folder
    with pytest.raises(AttributeError):
        _ = Sum(ModelSettings(name="sum")).server.folders


def test_models_raise_what_a_test_wants_and_unknown_ones_as_a_server_does():
    def refuse(request):
        raise InvalidInput("Not this.")

    server = FakeServer({"good": 1.0, "busy": Unavailable("Busy."), "bad": refuse})
    with pytest.raises(Unavailable, match="Busy"):
        server.infer("busy", floats())
    with pytest.raises(InvalidInput, match="Not this"):
        server.infer("bad", floats())
    with pytest.raises(NotFound, match="Did you mean 'good'"):
        server.infer("goo", floats())
    with pytest.raises(NotFound):
        server.infer("good", floats(), version="2")
    with pytest.raises(DeadlinePassed):
        server.infer("good", floats(), deadline=time.monotonic() - 1)
    with pytest.raises(TypeError, match=r"srv\.InferenceRequest"):
        server.infer("good", {"x": [1.0]})


def test_an_answer_is_signed_and_the_request_is_left_as_it_was():
    server = FakeServer({"m": lambda request: InferenceResponse([Tensor("y", request["x"])], {"seen": True})})
    request = floats(1.0)

    response = server.infer("m", request, headers={"X-Mine": "yes"})

    assert (response.model_name, response.model_version, response.id) == ("m", "1", "mine")
    assert (request.model_name, {**request.headers}) == ("", {})
    assert server.asked[0].request.headers["x-mine"] == "yes"
    assert not response["y"].flags.writeable


def test_what_is_unloaded_is_not_ready_until_it_is_loaded():
    server = FakeServer({"m": 1.0})
    server.unload("m")
    assert (server.ready("m"), server.states()["UNAVAILABLE"], [*server.models()]) == (False, 1, ["m"])
    with pytest.raises(Unavailable):
        server.infer("m", floats())
    server.load("m")
    assert server.infer("m", floats())["output"].tolist() == 1.0


def test_streams_and_awaits_answer_alike():
    server = FakeServer({"m": [{"n": [0]}, {"n": [1]}], "one": {"n": [5]}})

    async def ask():
        with pytest.raises(BlocksEventLoop):
            server.infer("one", floats())
        streamed = [response["n"].tolist() async for response in server.astream("m", floats())]
        return streamed, (await server.ainfer("one", floats()))["n"].tolist()

    with server.stream("m", floats()) as responses:
        assert [response["n"].tolist() for response in responses] == [[0], [1]]
    assert [response["n"].tolist() for response in server.stream("one", floats())] == [[5]]
    assert asyncio.run(ask()) == ([[0], [1]], [5])
    with pytest.raises(NotFound):
        server.stream("absent", floats())


class Doubled(Runtime):
    def predict(self, x: np.ndarray) -> np.ndarray:
        return x * 2


class AsksBeside(Runtime):
    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.server.infer("Doubled", InferenceRequest([Tensor("x", x)]))["output"]


def test_a_runtime_that_asks_models_is_held_to_what_every_runtime_must_do_with_these_beside_it():
    assert_runtime_conforms(AsksBeside, request={"x": [1.0, 2.0]}, expected={"output": [2.0, 4.0]}, beside=[Doubled])
