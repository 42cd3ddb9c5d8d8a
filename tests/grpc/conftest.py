"""A gRPC face in this process, and channels to it."""

import time
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
from tritonclient.grpc import service_pb2_grpc

from srv.discovery import discover
from srv.grpc.server import GrpcServer
from srv.serve.assembly import assemble
from srv.serve.listening import reserve_port
from srv.settings import ServerSettings

CODE = """
import threading, time
import numpy as np
from srv import InferenceRequest, InferenceResponse, InvalidInput, Runtime

gate = threading.Event()
running = []

class Echo(Runtime):
    def predict(self, request: InferenceRequest) -> InferenceResponse:
        return InferenceResponse(request.inputs, request.parameters)

class Double(Runtime):
    def predict(self, x: np.ndarray) -> np.ndarray:
        return 2 * x

class Gate(Runtime):
    "Waits until the test lets it go."
    def predict(self, request: InferenceRequest) -> InferenceResponse:
        running.append(request.id)
        gate.wait(20)
        return InferenceResponse([])

class Headers(Runtime):
    def predict(self, request: InferenceRequest) -> InferenceResponse:
        return InferenceResponse([], dict(request.headers), {"X-Own": "mine", "X-Bad": "\\xe9", "grpc-mine": "1"})

class Fails(Runtime):
    def predict(self, request: InferenceRequest) -> InferenceResponse:
        if request.id == "input":
            raise InvalidInput("not this")
        if request.id == "parameter":
            return InferenceResponse([], {"p": [1]})
        raise ValueError("secret")

class Stream(Runtime):
    def predict_stream(self, x: np.ndarray):
        for value in x:
            if value < 0:
                raise InvalidInput("negative")
            yield np.array([value])
"""
MODELS = ("Echo", "Double", "Gate", "Headers", "Fails", "Stream")


class Face:
    """A worker's second face without a worker; `models` is the module that its models come from."""

    def __init__(self, folder: Path, **settings: object) -> None:
        for name in MODELS:
            place = folder / name.lower()
            place.mkdir()
            (place / "model-settings.json").write_text(f'{{"implementation": "models.{name}"}}')
            (place / "models.py").write_text(CODE)
        chosen = ServerSettings(folder=folder, access_log=False, **settings)
        self.assembled = assemble(chosen, discover())
        self.assembled.load_models(lambda _: None, self.assembled.wanted())
        self.counted = []
        self.server = GrpcServer(
            self.assembled.dataplane,
            self.assembled.modelplane,
            chosen,
            interceptors=self.assembled.hooks.grpc_interceptors(),
            owner_of=self.assembled.hooks.owner_of,
            answered=lambda: self.counted.append(None),
        )
        self.held = reserve_port("127.0.0.1", 0)
        self.server.start(self.held.address)
        self.address = self.held.address

    def module(self, model: str) -> object:
        """The module of a model's class, where its globals are."""
        import sys

        return sys.modules[type(self.assembled.registry.find(model, None).runtime).__module__]

    def close(self) -> None:
        self.module("gate").gate.set()
        self.server.stop(0)
        assert self.server.stopped(10)
        self.held.close()
        self.assembled.close()


@pytest.fixture
def face(tmp_path):
    with ExitStack() as afterwards:

        def make(**settings):
            made = Face(tmp_path, **settings)
            afterwards.callback(made.close)
            return made

        yield make


@pytest.fixture
def channel():
    with ExitStack() as afterwards:

        def connect(face, *, most=-1):
            options = [
                ("grpc.max_receive_message_length", most),
                ("grpc.max_send_message_length", -1),
                ("grpc.use_local_subchannel_pool", 1),
            ]
            return afterwards.enter_context(grpc.insecure_channel(face.address, options=options))

        yield connect


@pytest.fixture
def stub(channel):
    return lambda face: service_pb2_grpc.GRPCInferenceServiceStub(channel(face))


@pytest.fixture
def until():
    def wait(condition, seconds=10):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "what was waited for did not come"
            time.sleep(0.005)

    return wait
