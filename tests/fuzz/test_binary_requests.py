"""Bodies with binary data, nearly right and then perhaps cut, damaged or announced wrongly."""

import json
import os
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from srv.errors import InvalidInput
from srv.model_settings import Spec
from srv.rest.binary import HEADER, BinaryChoice, json_length, read_raw_body
from srv.rest.infer import read_request
from srv.tensors import DTYPES

pytestmark = pytest.mark.fuzz

SECONDS = float(os.environ.get("SRV_FUZZ_SECONDS", "40")) / 2
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
VALUES = st.recursive(PLAIN, lambda values: st.lists(values, max_size=4), max_leaves=8)
#: What may be said wrongly of a tensor.
LIES = {
    "datatype": st.sampled_from([*DTYPES, "", "FP128", None]),
    "shape": st.lists(st.integers(0, 4) | st.sampled_from([-1, 2**31, 2**62, 2**64, 1.0, "2", None]), max_size=4)
    | PLAIN,
    "data": VALUES,
    "parameters": st.dictionaries(st.sampled_from(["binary_data_size", "other"]), PLAIN | st.integers(0, 40)) | PLAIN,
    "name": PLAIN,
}


@st.composite
def tensors(draw):
    """A tensor as the JSON says it, and the bytes behind the JSON; it adds up."""
    datatype = draw(st.sampled_from([each for each in DTYPES if each != "BYTES"]))
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    size = int(np.prod(shape, dtype=int)) * np.dtype(DTYPES[datatype]).itemsize
    data = draw(st.binary(min_size=size, max_size=size))
    if datatype == "BOOL":
        data = bytes(byte & 1 for byte in data)
    said = {"name": draw(st.sampled_from("xyz")), "datatype": datatype, "shape": shape}
    if datatype in ("INT32", "UINT8") and draw(st.booleans()):
        return said | {"data": np.frombuffer(data, DTYPES[datatype]).tolist()}, b"", data
    return said | {"parameters": {"binary_data_size": size}}, data, data


@st.composite
def right_requests(draw):
    """A body with binary data where all adds up, the length of its JSON, and the tensors that it says."""
    made = draw(st.lists(tensors(), max_size=3))
    text = json.dumps({"inputs": [said for said, _, _ in made]}).encode()
    return (
        text + b"".join(behind for _, behind, _ in made),
        len(text),
        [(said["datatype"], said["shape"], data) for said, _, data in made],
    )


@st.composite
def requests(draw):
    """A body and what its header says of it: right, or with some lies, or cut, damaged or announced wrongly."""
    made = draw(st.lists(tensors(), min_size=1, max_size=3))
    document = {"inputs": [said for said, _, _ in made]}
    behind = b"".join(behind for _, behind, _ in made)
    wrong = draw(st.sampled_from(["nothing", "tensor", "tensor", "request", "length", "damage", "cut", "more"]))
    if wrong == "tensor":
        for name in draw(st.lists(st.sampled_from([*LIES]), min_size=1, max_size=2)):
            draw(st.sampled_from(document["inputs"]))[name] = draw(LIES[name])
    if wrong == "request" or draw(st.booleans()):
        wishes = st.booleans() if wrong != "request" else PLAIN
        document |= {"id": draw(st.text(max_size=3)), "parameters": {"binary_data_output": draw(wishes)}}
        document["outputs"] = [{"name": draw(st.sampled_from("xyz")), "parameters": {"binary_data": draw(wishes)}}]
    text = json.dumps(document).encode()
    body, said = bytearray(text + behind), str(len(text))
    if wrong == "length":
        said = draw(st.integers(-2, 300).map(str) | st.sampled_from(["0", "", "x", "9" * 30, "1 ", "१"]))
    if wrong == "damage":
        for _ in range(draw(st.integers(1, 3))):
            body[draw(st.integers(0, len(body) - 1))] = draw(st.integers(0, 255))
    if wrong == "cut":
        body = body[: draw(st.integers(0, len(body)))]
    if wrong == "more":
        body += draw(st.binary(min_size=1, max_size=9))
    return bytes(body), said


def fuzz(strategy, claim, seconds):
    """Try a claim for so many seconds."""
    until = time.monotonic() + seconds

    @settings(max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def holds(drawn):
        claim(*drawn)

    while time.monotonic() < until:
        holds()


def test_what_adds_up_is_read_bit_for_bit():
    def claim(body, length, arrays):
        read = read_request(body, length).inputs
        assert [(each.datatype, list(each.shape), each.data.tobytes()) for each in read] == arrays

    fuzz(right_requests(), claim, SECONDS / 4)


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


def is_read_or_refused_and_takes_no_memory(body, said):
    try:
        length = json_length(said, len(body))
        request = read_request(body, length)
        BinaryChoice(request)
    except InvalidInput:
        return
    assert sum(tensor.data.nbytes for tensor in request.inputs if tensor.datatype != "BYTES") <= 8 * len(body)


def test_whatever_comes_is_a_request_or_refused_and_a_server_answers_and_goes_on(server, outlived):
    with outlived():
        connection = server.connect()

        # Both claims have the same examples, because drawing one costs more than reading and asking.
        def claim(body, said):
            is_read_or_refused_and_takes_no_memory(body, said)
            headers = {HEADER: said} if said.isascii() else {}
            for model in ("echo", "typed"):  # one takes whatever can be read, the other knows what it wants
                connection.request("POST", f"/v2/models/{model}/infer", body, headers)
                answer = connection.getresponse()
                text = answer.read()
                assert answer.status in (200, 400), (answer.status, text)
                assert answer.status == 200 or {"error", "code"} == set(json.loads(text))

        fuzz(requests(), claim, SECONDS * 0.8)
        connection.close()
