"""Bodies with binary data, nearly right and then perhaps cut, damaged or announced wrongly."""

import json
import os
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from srv.errors import InvalidInput
from srv.modelsettings import Spec
from srv.rest.binary import HEADER, BinaryChoice, json_length, read_raw_body
from srv.rest.infer import read_request
from srv.tensors import DTYPES

pytestmark = pytest.mark.fuzz

SECONDS = float(os.environ.get("SRV_FUZZ_SECONDS", "40")) / 2
LENGTHS = st.integers(0, 4) | st.sampled_from([-1, 2**31, 2**40, 2**62, 2**63 - 1, 2**64, 1.0, "2", None])
SIZES = st.integers(-1, 40) | st.sampled_from([2**31, 2**63, 1.5, True, "8", None])
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
DATA = st.recursive(PLAIN, lambda values: st.lists(values, max_size=4), max_leaves=8)


@st.composite
def right_requests(draw):
    """A request with binary data where all adds up, and the arrays that it says."""
    arrays, inputs, behind = [], [], b""
    for _ in range(draw(st.integers(0, 3))):
        datatype = draw(st.sampled_from([each for each in DTYPES if each != "BYTES"]))
        shape = draw(st.lists(st.integers(0, 3), max_size=3))
        size = int(np.prod(shape, dtype=int)) * np.dtype(DTYPES[datatype]).itemsize
        data = draw(st.binary(min_size=size, max_size=size))
        if datatype == "BOOL":
            data = bytes(byte & 1 for byte in data)
        named = {"name": "x", "datatype": datatype, "shape": shape}
        inputs.append({**named, "parameters": {"binary_data_size": size}})
        arrays.append((datatype, shape, data))
        behind += data
    text = json.dumps({"inputs": inputs}).encode()
    return text + behind, len(text), arrays


@st.composite
def requests(draw):
    """A body, and what its header says of it."""
    inputs = []
    for _ in range(draw(st.integers(0, 3))):
        tensor = {"name": "x", "datatype": draw(st.sampled_from([*DTYPES, "", "FP128"]))}
        tensor["shape"] = draw(st.lists(LENGTHS, max_size=4))
        if draw(st.booleans()):
            tensor["data"] = draw(DATA)
        if draw(st.booleans()):
            tensor["parameters"] = {"binary_data_size": draw(SIZES), "other": draw(PLAIN)}
        inputs.append(tensor)
    document = {"inputs": inputs, "id": draw(PLAIN), "parameters": {"binary_data_output": draw(PLAIN)}}
    if draw(st.booleans()):
        document["outputs"] = [{"name": "x", "parameters": {"binary_data": draw(PLAIN)}}]
    text = json.dumps(document).encode()
    body = bytearray(text + draw(st.binary(max_size=60)))
    for _ in range(draw(st.integers(0, 2))):
        body[draw(st.integers(0, len(body) - 1))] = draw(st.integers(0, 255))
    body = body[: len(body) - draw(st.sampled_from([0, 0, 0, 1, 5, 50]))]
    said = draw(
        st.just(str(len(text))) | st.integers(-2, 300).map(str) | st.sampled_from(["0", "", "x", "9" * 30, "१"])
    )
    return bytes(body), said


def fuzz(strategy, claim, seconds=SECONDS):
    """Try a claim for so many seconds."""
    until = time.monotonic() + seconds

    @settings(max_examples=500, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def holds(drawn):
        if time.monotonic() < until:
            claim(*drawn)

    while time.monotonic() < until:
        holds()


def test_what_adds_up_is_read_bit_for_bit():
    def claim(body, length, arrays):
        read = read_request(body, length).inputs
        assert [(each.datatype, list(each.shape), each.data.tobytes()) for each in read] == arrays

    fuzz(right_requests(), claim, SECONDS / 4)


def test_whatever_comes_is_a_request_or_refused_and_takes_no_memory():
    def claim(body, said):
        try:
            length = json_length(said, len(body))
            request = read_request(body, length)
            BinaryChoice(request)
        except InvalidInput:
            return
        assert sum(tensor.data.nbytes for tensor in request.inputs if tensor.datatype != "BYTES") <= 8 * len(body)

    fuzz(requests(), claim, SECONDS / 2)


def test_a_raw_body_is_one_input_or_refused():
    lengths = st.lists(st.integers(-1, 4) | st.just(2**40), max_size=3)
    specs = st.builds(
        lambda datatype, shape: (Spec(datatype, shape if shape is None else tuple(shape), "x"),),
        st.none() | st.sampled_from([*DTYPES]),
        st.none() | lengths,
    )

    def claim(body, inputs):
        try:
            request = read_raw_body(body, inputs, {})
        except InvalidInput:
            return
        (tensor,) = request.inputs
        assert b"".join(tensor.data.flat) == body if tensor.datatype == "BYTES" else tensor.data.tobytes() == body

    fuzz(st.tuples(st.binary(max_size=50), specs), claim, SECONDS / 4)


def test_a_server_answers_whatever_comes_and_goes_on(server, outlived):
    with outlived():
        connection = server.connect()

        def claim(body, said):
            headers = {HEADER: said} if said.isascii() else {}
            for model in ("echo", "typed"):
                connection.request("POST", f"/v2/models/{model}/infer", body, headers)
                answer = connection.getresponse()
                text = answer.read()
                assert answer.status in (200, 400), (answer.status, text)
                assert answer.status == 200 or {"error", "code"} == set(json.loads(text))

        fuzz(requests(), claim)
        connection.close()
