import numpy as np
import pytest

from srv import InferenceRequest, Runtime, Tensor
from srv.testing import Client, model

ONE = InferenceRequest([Tensor("x", np.ones(1))])


class Doubles(Runtime):
    def predict(self, x: np.ndarray) -> np.ndarray:
        return x * 2


class Asks(Runtime):
    concurrency = 1
    routes = (
        ("POST", "sync/{model}", "sync"),
        ("POST", "async/{model}", "later"),
        ("POST", "stream/{model}", "stream"),
    )

    def predict(self, x: np.ndarray) -> np.ndarray:
        return x

    def sync(self, request):
        return self.server.infer(request.path_parameters["model"], ONE)["output"].tolist()

    async def later(self, request):
        return (await self.server.ainfer(request.path_parameters["model"], ONE))["output"].tolist()

    async def stream(self, request):
        for _ in range(2):
            yield (await self.server.ainfer(request.path_parameters["model"], ONE))["output"].tolist()


@pytest.fixture(scope="module")
def client():
    with Client.of(model(Asks, name="asks"), model(Doubles, name="doubles")) as client:
        yield client


@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_route_asks_another_model(client, way):
    assert client.call("POST", "asks", f"{way}/doubles").json == [2.0]


def test_a_stream_of_a_route_asks_another_model(client):
    assert client.call("POST", "asks", "stream/doubles").body == b"data: [2.0]\n\n" * 2


@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_route_that_asks_its_own_model_which_waits_for_it_is_told(client, way):
    answer = client.call("POST", "asks", f"{way}/asks")
    assert (answer.status, answer.code) == (500, "MODEL_ERROR")
    assert "Models ask each other in a circle: asks -> asks." in answer.error
