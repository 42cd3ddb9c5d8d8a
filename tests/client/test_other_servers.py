"""The client against MLServer and KServe's SDK server: what the table of docs/clients.md says that works.

Each runs where a variable names the Python of an environment that has it: SRV_TEST_MLSERVER, SRV_TEST_KSERVE.
"""

import json
import os
import socket
import subprocess

import numpy as np
import pandas as pd
import pytest
from servers import eventually

from srv import Tensor
from srv.client import Client
from srv.errors import InvalidInput, NotFound, Unimplemented

pytestmark = pytest.mark.e2e
MLSERVER = """
from mlserver import MLModel
from mlserver.types import InferenceResponse, ResponseOutput


class Echo(MLModel):
    async def load(self):
        return True

    async def predict(self, asked):
        outputs = [ResponseOutput(**tensor.model_dump()) for tensor in asked.inputs]
        return InferenceResponse(model_name=self.name, id=asked.id, outputs=outputs)

    async def predict_stream(self, asked):
        async for request in asked:
            for number in range(2):
                output = ResponseOutput(name="n", datatype="INT64", shape=[1], data=[number])
                yield InferenceResponse(model_name=self.name, outputs=[output])
"""
KSERVE = """
import sys
from kserve import InferOutput, InferResponse, Model, ModelServer


class Echo(Model):
    def __init__(self, name):
        super().__init__(name)
        self.ready = True

    def predict(self, asked, headers=None, response_headers=None):
        outputs = []
        for tensor in asked.inputs:
            outputs.append(InferOutput(tensor.name, tensor.shape, tensor.datatype))
            outputs[-1].set_data_from_numpy(tensor.as_numpy())
        return InferResponse(asked.id or "none", self.name, outputs, use_binary_outputs=asked.use_binary_outputs)


ModelServer(http_port=int(sys.argv[1]), grpc_port=int(sys.argv[2]), workers=1).start([Echo("echo")])
"""
INPUT = {"name": "echo", "implementation": "models.Echo", "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1]}]}


def free_ports(count):
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def start_mlserver(python, folder, http, grpc):
    (folder / "models.py").write_text(MLSERVER)
    (folder / "model-settings.json").write_text(json.dumps(INPUT))
    ports = {"http_port": http, "grpc_port": grpc, "metrics_port": free_ports(1)[0], "parallel_workers": 0}
    (folder / "settings.json").write_text(json.dumps(ports))
    return [python, "-m", "mlserver.cli.main", "start", "."]


def start_kserve(python, folder, http, grpc):
    (folder / "serve.py").write_text(KSERVE)
    return [python, "serve.py", str(http), str(grpc)]


@pytest.fixture(scope="module", params=["mlserver", "kserve"])
def server(request, tmp_path_factory):
    python = os.environ.get(f"SRV_TEST_{request.param.upper()}")
    if python is None:
        pytest.skip(f"SRV_TEST_{request.param.upper()} names no Python.")
    folder, (http, grpc) = tmp_path_factory.mktemp(request.param), free_ports(2)
    words = {"mlserver": start_mlserver, "kserve": start_kserve}[request.param](python, folder, http, grpc)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(words, cwd=folder, stdout=log, stderr=log)
    urls = {"http": f"http://localhost:{http}", "grpc": f"grpc://localhost:{grpc}"}
    try:
        for url in urls.values():
            with Client(url, timeout=5) as client:
                assert eventually(lambda client=client: client.is_ready("echo")), (folder / "log").read_text()
        yield request.param, urls
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(params=["http", "grpc"])
def asked(request, server):
    """The server's name, the transport, and a client."""
    name, urls = server
    with Client(urls[request.param], timeout=20) as client:
        yield name, request.param, client


def test_every_datatype_comes_back_as_it_went(asked):
    _, _, client = asked
    for code in ("?", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"):
        array = np.array([[0, 1], [1, 0]]).astype(code)
        assert np.array_equal(client.infer("echo", Tensor("a", array))["a"], array), code
    assert client.infer("echo", a=["x", "ü"]).value == ["x", "ü"]
    assert client.infer("echo", a=np.zeros((0, 2)))["a"].shape == (0, 2)
    table = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    pd.testing.assert_frame_equal(client.infer("echo", table).table(), table)


def test_values_that_json_cannot_say_come_back_or_are_refused_here(asked):
    name, transport, client = asked
    infinity, octets = Tensor("a", np.array([np.inf, 1.0])), Tensor("a", [b"\xff\x00"])
    if (name, transport) == ("mlserver", "http"):
        for tensor in (infinity, octets):
            with pytest.raises(InvalidInput, match="does not say that it takes binary data"):
                client.infer("echo", tensor)
        return
    assert client.infer("echo", infinity)["a"].tolist() == [np.inf, 1.0]
    if transport == "grpc":
        assert client.infer("echo", octets)["a"].tolist() == [b"\xff\x00"]


def test_streams_come_where_the_server_has_them(asked):
    name, _, client = asked
    if name == "mlserver":
        assert [result["n"].tolist() for result in client.stream("echo", a=[1])] == [[0], [1]]
    else:
        with pytest.raises(Unimplemented):
            next(client.stream("echo", a=[1]))


def test_models_are_listed_described_and_missed(asked):
    name, transport, client = asked
    assert client.metadata("echo").name == "echo"
    assert (client.is_live(), client.is_ready(), client.is_ready("nobody")) == (True, True, False)
    if (name, transport) == ("kserve", "grpc"):
        with pytest.raises(Unimplemented):
            client.models()
    else:
        assert [(row["name"], row["state"]) for row in client.models()] == [("echo", "READY")]
    with pytest.raises(NotFound):
        client.infer("nobody", a=[1])
    with pytest.raises(Unimplemented):
        client.statistics("echo")


def test_models_are_unloaded_and_loaded(asked):
    name, _, client = asked
    if name == "kserve":
        pytest.skip("The SDK's own repository loads nothing.")
    client.unload("echo")
    assert not client.is_ready("echo")
    client.load("echo")
    assert client.is_ready("echo")
