import json
import math

import numpy as np
import pytest

from srv.errors import InvalidInput
from srv.rest import infer
from srv.rest.infer import read_request
from srv.rest.large_arrays import LARGE, read_cut

LONG = "[" + ", ".join(map(str, range(LARGE))) + "]"
NESTED = json.dumps(np.arange(LARGE).reshape(-1, 2).tolist())
INPUT = '{"name": "x", "shape": [%d], "datatype": "INT32", "data": %s}'
ONE = INPUT % (LARGE, LONG)


def told(body):
    """What becomes of a body: its tensors, or the sentence that refuses it."""
    try:
        request = read_request(body.encode())
    except InvalidInput as error:
        return str(error)
    return [(tensor.name, tensor.shape, tensor.data.tolist()) for tensor in request.inputs], request.parameters


BODIES = {
    "one array": f'{{"inputs": [{ONE}]}}',
    "the array before its name": f'{{"inputs": [{{"data": {LONG}, "name": "x", "shape": [{LARGE}], "datatype": "FP32"}}]}}',
    "two arrays and a short one": f'{{"inputs": [{ONE}, {INPUT % (2, "[1, 2]")}, {ONE}]}}',
    "rows": f'{{"inputs": [{{"name": "x", "shape": [{LARGE // 2}, 2], "datatype": "INT64", "data": {NESTED}}}]}}',
    "data twice": f'{{"inputs": [{INPUT % (2, f"{LONG}, {chr(34)}data{chr(34)}: [1, 2]")}]}}',
    "an array within a text": json.dumps({"inputs": [], "parameters": {"said": f'"data": {LONG}'}}),
    "an array in a field that nobody reads": f'{{"more": {{"data": {LONG}}}, "inputs": [{ONE}]}}',
    "too few": f'{{"inputs": [{INPUT % (LARGE + 1, LONG)}]}}',
    "out of range": f'{{"inputs": [{INPUT % (LARGE + 1, LONG.replace("]", f", {2**40}]"))}]}}',
    "a null among integers": f'{{"inputs": [{INPUT % (LARGE + 1, LONG.replace("]", ", null]"))}]}}',
    "a comma too much": f'{{"inputs": [{INPUT % (LARGE, LONG.replace("]", ",]"))}]}}',
    "a bracket too much": f'{{"inputs": [{INPUT % (LARGE, LONG + "]")}]}}',
    "a bracket too few": f'{{"inputs": [{INPUT % (LARGE, LONG.removesuffix("]"))}]}}',
    "letters beyond ASCII": f'{{"inputs": [{INPUT % (LARGE, LONG.replace("]", ", é]"))}]}}',
    "an end in the middle": f'{{"inputs": [{ONE[:-9]}',
    "an object among numbers": f'{{"inputs": [{INPUT % (LARGE, LONG.replace("]", ", {}]"))}]}}',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_json_means_the_same_with_its_arrays_cut_out_and_read_whole(body, monkeypatch):
    cut = told(body)
    monkeypatch.setattr(infer, "LARGE", math.inf)

    assert cut == told(body)


def test_a_long_array_is_cut_out():
    envelope = read_cut(BODIES["two arrays and a short one"].encode())

    assert envelope is not None
    assert [bytes(tensor.data) for tensor in envelope.inputs] == [LONG.encode(), b"[1, 2]", LONG.encode()]


@pytest.mark.parametrize("body", [BODIES["data twice"], BODIES["an array within a text"]])
def test_what_is_cut_out_of_elsewhere_is_put_back(body):
    assert read_cut(body.encode()) is None
