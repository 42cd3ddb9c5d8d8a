"""Runtimes learn on both faces that nobody waits for the answer any more, and stop."""

import json
from contextlib import closing
from http.client import HTTPConnection

import grpc
import pytest
from servers import eventually, running

from srv.client import Client
from srv.errors import DeadlinePassed
from srv.grpc.descriptors import INFERENCE, message

pytestmark = pytest.mark.e2e
CODE = """
import time
from pathlib import Path

from srv import InferenceRequest, Runtime


class Works(Runtime):
    routes = [("POST", "work", "work")]

    def predict(self, mark: str, request: InferenceRequest):
        self.steps(mark, request)
        return True

    def predict_stream(self, mark: str, request: InferenceRequest):
        yield 1
        self.steps(mark, request)
        yield 2

    def work(self, request):
        self.steps(request.text(), request)

    def steps(self, mark, request):
        Path(mark + ".begun").touch()
        end = time.monotonic() + 60
        try:
            while time.monotonic() < end:
                request.raise_if_abandoned()
                time.sleep(0.005)
        except Exception as error:
            Path(mark + ".ended").write_text(f"{type(error).__name__} {request.is_abandoned()}")
            raise
"""


@pytest.fixture(scope="module")
def addresses(tmp_path_factory):
    folder = tmp_path_factory.mktemp("abandoned")
    for name, more in {
        "patient": {},
        "hasty": {"request_timeout": 0.3},
        "batched": {"max_batch_size": 8},
        "apart": {"process": True},
    }.items():
        (folder / name).mkdir()
        (folder / name / "models.py").write_text(CODE)
        (folder / name / "model-settings.json").write_text(json.dumps({"implementation": "models.Works", **more}))
    with running(folder) as server:
        face = server.wait_for(r"listening on (\S+) for gRPC").group(1)
        yield {"http": server.url(), "grpc": f"grpc://{face}"}


@pytest.fixture(params=["http", "grpc"])
def address(request, addresses):
    return addresses[request.param]


def ended(mark):
    """What ended the steps of a request, as soon as it has."""

    def said():
        path = mark.with_suffix(".ended")
        return path.read_text() if path.exists() else None

    return eventually(said)


def leaving_http(url, model, mark):
    """Ask, and close the connection once predict runs."""
    connection = HTTPConnection(url.removeprefix("http://"), timeout=60)
    tensor = {"name": "mark", "datatype": "BYTES", "shape": [1], "data": [str(mark)]}
    connection.request("POST", f"/v2/models/{model}/infer", json.dumps({"inputs": [tensor]}))
    eventually(mark.with_suffix(".begun").exists)
    connection.close()


def leaving_grpc(url, model, mark):
    """Ask, and cancel the call once predict runs."""
    request = message("inference.ModelInferRequest")(model_name=model)
    tensor = request.inputs.add(name="mark", datatype="BYTES", shape=[1])
    tensor.contents.bytes_contents.append(str(mark).encode())
    with grpc.insecure_channel(url.removeprefix("grpc://")) as channel:
        call = channel.unary_unary(f"/{INFERENCE}/ModelInfer").future(request.SerializeToString())
        eventually(mark.with_suffix(".begun").exists)
        call.cancel()


@pytest.mark.parametrize("face, leave", [("http", leaving_http), ("grpc", leaving_grpc)])
@pytest.mark.parametrize("model", ["patient", "batched", "apart"])
def test_a_sync_predict_stops_when_its_client_leaves(addresses, tmp_path, model, face, leave):
    mark = tmp_path / "mark"

    leave(addresses[face], model, mark)

    assert ended(mark) == "ClientLeft True"


def test_a_sync_predict_stops_at_its_deadline_and_the_client_is_told_which(address, tmp_path):
    mark = tmp_path / "mark"
    with Client(address) as client, pytest.raises(DeadlinePassed, match=r"within its 0\.3 seconds"):
        client.infer("hasty", str(mark))

    assert ended(mark) == "DeadlinePassed True"


def test_a_stream_stops_between_its_values_when_its_client_leaves(address, tmp_path):
    mark = tmp_path / "mark"
    with Client(address) as client:
        stream = client.stream("patient", str(mark))
        next(stream)
        eventually(mark.with_suffix(".begun").exists)
        stream.close()

        assert ended(mark) == "ClientLeft True"


def test_a_route_stops_at_its_deadline(addresses, tmp_path):
    mark = tmp_path / "mark"
    with closing(HTTPConnection(addresses["http"].removeprefix("http://"), timeout=60)) as connection:
        connection.request("POST", "/v2/models/hasty/work", str(mark))
        answer = connection.getresponse()

        assert (answer.status, json.load(answer)["code"]) == (504, "DEADLINE")
    assert ended(mark) == "DeadlinePassed True"
