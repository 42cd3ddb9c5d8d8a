import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from srv.planes.limits import Limit

BYTES = 300_000


def message(model, size):
    asked = service_pb2.ModelInferRequest(model_name=model)
    asked.inputs.add(name="x", datatype="UINT8", shape=[size])
    asked.raw_input_contents.append(np.zeros(size, np.uint8).tobytes())
    return asked


@pytest.fixture
def counted(monkeypatch):
    """What the server counts messages with."""
    kept = []
    make = Limit.__init__

    def remembering(self, most):
        if most == BYTES:
            kept.append(self)
        make(self, most)

    monkeypatch.setattr(Limit, "__init__", remembering)
    return lambda: kept[-1].count


def test_messages_beyond_max_inflight_bytes_are_refused_and_those_within_go_on(face, stub, until, counted):
    served = face(max_inflight_bytes=BYTES)
    ask = stub(served)
    first = ask.ModelInfer.future(message("gate", 200_000))
    until(lambda: counted() > 200_000)

    with pytest.raises(grpc.RpcError) as caught:
        ask.ModelInfer(message("echo", 200_000))

    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert dict(caught.value.trailing_metadata())["srv-code"] == "UNAVAILABLE"
    assert caught.value.details() == (
        "The requests in flight exceed the 300000 bytes of max_inflight_bytes. Try again later."
    )
    assert ask.ModelInfer(message("echo", 1000)).model_name == "echo"
    served.module("gate").gate.set()
    first.result(10)
    assert len(ask.ModelInfer(message("echo", 200_000)).raw_output_contents[0]) == 200_000
    until(lambda: counted() == 0)  # the answer has gone out


def test_a_message_of_a_stream_beyond_max_inflight_bytes_is_refused_and_the_stream_goes_on(face, stub, until, counted):
    ask = stub(face(max_inflight_bytes=BYTES))

    sizes = (400_000, 1000, 200_000)
    answers = list(ask.ModelStreamInfer(iter([message("echo", size) for size in sizes])))

    assert [bool(answer.error_message) for answer in answers] == [True, False, False]
    assert "max_inflight_bytes" in answers[0].error_message
    until(lambda: counted() == 0)
