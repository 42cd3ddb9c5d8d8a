import os
import time

import grpc
import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from srv.errors import InvalidInput
from srv.grpc import wire_format
from srv.grpc.convert import is_typed, read_request
from srv.grpc.descriptors import INFERENCE, ModelInferRequest, ModelInferResponse
from srv.grpc.wire_format import read_message
from srv.tensors import DTYPES

pytestmark = pytest.mark.fuzz

SECONDS = float(os.environ.get("SRV_FUZZ_SECONDS", "40")) / 2
LENGTHS = st.integers(-2, 5) | st.sampled_from([2**31, 2**40, 2**62, 2**63 - 1, -(2**63)])


@st.composite
def requests(draw):
    """The bytes of a request that adds up, or nearly does, and then perhaps cut, damaged or doubled."""
    message = ModelInferRequest(model_name="echo", id=draw(st.text(max_size=3)))
    wrong = draw(st.sampled_from(["nothing", "tensor", "tensor", "raw", "damage", "cut", "doubled"]))
    for _ in range(draw(st.integers(0, 3))):
        datatype = draw(st.sampled_from([each for each in DTYPES if each != "BYTES"]))
        shape = draw(st.lists(st.integers(0, 3), max_size=3))
        size = int(np.prod(shape, dtype=int)) * DTYPES[datatype].itemsize
        message.raw_input_contents.append(
            bytes(size) if datatype == "BOOL" else draw(st.binary(min_size=size, max_size=size))
        )
        tensor = message.inputs.add(name="x", datatype=datatype, shape=shape)
        if wrong == "tensor":
            tensor.datatype = draw(st.sampled_from([*DTYPES, "", "FP128"]))
            tensor.shape[:] = draw(st.lists(LENGTHS, max_size=4))
            tensor.contents.int_contents.extend(draw(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=3)))
            tensor.contents.bytes_contents.extend(draw(st.lists(st.binary(max_size=9), max_size=3)))
            if draw(st.booleans()):
                tensor.ClearField("contents")
    if wrong == "raw" or (wrong == "tensor" and draw(st.booleans())):
        message.raw_input_contents[:] = draw(st.lists(st.binary(max_size=40), max_size=4))
    data = bytearray(message.SerializeToString())
    if wrong == "damage":
        for _ in range(draw(st.integers(1, 3))):
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    start = draw(st.integers(0, len(data))) if wrong in ("cut", "doubled") else 0
    return bytes(data[start:] + data) if wrong == "doubled" else bytes(data[: len(data) - start])


def is_read_or_refused_and_takes_no_memory(data):
    try:
        message, raw = read_message(data)
        request = read_request(message, raw, {})
    except InvalidInput:
        return
    assert isinstance(is_typed(message), bool)
    assert sum(tensor.data.nbytes for tensor in request.inputs if tensor.datatype != "BYTES") <= 8 * len(data)
    try:
        theirs = ModelInferRequest.FromString(data)
    except DecodeError:
        theirs = None
    assert theirs is not None
    assert [bytes(each) for each in raw] == list(theirs.raw_input_contents)


def test_whatever_comes_is_a_request_or_refused_and_a_server_answers_and_goes_on(server, outlived, monkeypatch):
    monkeypatch.setattr(wire_format, "_SMALL", 0)
    refusals = set()
    end = time.monotonic() + SECONDS * 1.25
    address = server.wait_for(r"listening on (\S+) for gRPC").group(1)
    with outlived(), grpc.insecure_channel(address) as channel:
        infer = channel.unary_unary(f"/{INFERENCE}/ModelInfer")

        # Both claims have the same examples, because drawing one costs more than reading and asking.
        @settings(max_examples=500, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(requests())
        def claim(data):
            is_read_or_refused_and_takes_no_memory(data)
            try:
                ModelInferResponse.FromString(infer(data, timeout=10))
            except grpc.RpcError as error:
                refusals.add(error.code())

        while time.monotonic() < end:
            claim()
    assert refusals <= {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}
