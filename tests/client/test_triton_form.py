"""The client writes and reads binary data as Triton's own client does, which stands for a server that cannot run here."""

import json

import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferInput, InferResult

from srv import InferenceRequest, Tensor
from srv.client.bodies import as_binary
from srv.client.responses import read_response

ARRAYS = {
    "FP32": np.array([[1.5, -0.0], [np.inf, 3]], np.float32),
    "FP16": np.array([0.5, 65504], np.float16),
    "INT64": np.array([-(2**63), 2**63 - 1]),
    "BOOL": np.array([True, False]),
    "UINT8": np.zeros((0, 3), np.uint8),
    "BYTES": np.array([b"a\0b", b"", "ü".encode()], object),
}
HEADER = "Inference-Header-Content-Length"


@pytest.mark.parametrize("datatype", ARRAYS)
def test_a_request_is_what_triton_s_client_sends(datatype):
    array = ARRAYS[datatype]
    theirs = InferInput("x", list(array.shape), datatype)
    theirs.set_data_from_numpy(array)
    expected, length = InferenceServerClient.generate_request_body([theirs], request_id="7")

    parts, headers = as_binary(InferenceRequest([Tensor("x", array)], id="7"))
    body = b"".join(parts)

    assert json.loads(body[: int(headers[HEADER])]) == json.loads(expected[:length])
    assert body[int(headers[HEADER]) :] == expected[length:]


@pytest.mark.parametrize("datatype", ARRAYS)
def test_a_response_is_read_as_triton_s_client_reads_it(datatype):
    array = ARRAYS[datatype]
    written = InferInput("x", list(array.shape), datatype)
    written.set_data_from_numpy(array)
    behind = written._get_binary_data()
    output = {
        "name": "y", "datatype": datatype, "shape": list(array.shape), "parameters": {"binary_data_size": len(behind)},
    }  # fmt: skip
    head = json.dumps({"model_name": "m", "model_version": "1", "outputs": [output]}).encode()

    theirs = InferResult.from_response_body(head + behind, header_length=len(head)).as_numpy("y")
    [ours] = read_response(head + behind, {HEADER.lower(): str(len(head))}).outputs

    assert np.array_equal(ours.data, theirs)
    assert (ours.datatype, ours.data.dtype, ours.shape) == (datatype, array.dtype, theirs.shape)
    if array.size:  # an empty tensor has no datatype of its own in older releases of tritonclient
        assert ours.data.dtype == theirs.dtype
