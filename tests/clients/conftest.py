"""Real servers with one worker and with three, and Triton's clients of them."""

import json
from urllib.parse import urlsplit

import pytest
from servers import running
from triton import KINDS

CODE = """
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from srv import InferenceRequest, InferenceResponse, Runtime


class Double(Runtime):
    def predict(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        return 2 * x


class Echo(Runtime):
    def predict(self, request: InferenceRequest) -> InferenceResponse:
        said = {name: value for name, value in request.parameters.items() if name != "binary_data_output"}
        return InferenceResponse(request.inputs, said)


class Hears(Runtime):
    def predict(self, request: InferenceRequest) -> dict[str, str]:
        return {"encoding": request.headers.get("content-encoding", "")}


class OneInput(Runtime):
    any_input_name = True

    def predict(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        return rows.sum(axis=1)


class Count(Runtime):
    def predict_stream(self, x: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        for value in range(int(x[0])):
            yield np.array([value])
"""
MODELS = ("Double", "Echo", "Hears", "Count", "OneInput")


@pytest.fixture(scope="session", params=[1, 3], ids=["1-worker", "3-workers"])
def server(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clients")
    for name in MODELS:
        place = folder / name.lower()
        place.mkdir()
        (place / "models.py").write_text(CODE)
        (place / "model-settings.json").write_text(json.dumps({"implementation": f"models.{name}"}))
    with running(folder, "--workers", str(request.param)) as server:
        yield server


@pytest.fixture
def clients(server):
    """Makes clients of a kind, each with connections of its own."""
    made = []
    addresses = {
        "http": urlsplit(server.url()).netloc,
        "grpc": server.wait_for(r"listening on (\S+) for gRPC").group(1),
    }

    def connect(name):
        kind = KINDS[name]
        made.append(kind.make(addresses[name.partition(".")[0]], **kind.options))
        return made[-1]

    yield connect
    for client in made:
        client.close()


@pytest.fixture
def client(clients, name):
    return clients(name)


@pytest.fixture
def tensor(name):
    """Makes an input of an array, as this client has it."""

    def make(array, datatype, name_of_input="x", **options):
        given = KINDS[name].Input(name_of_input, list(array.shape), datatype)
        given.set_data_from_numpy(array, **options)
        return given

    return make


@pytest.fixture
def output(name):
    return KINDS[name].Output
