"""Content type np: arrays as they are."""

import numpy as np
import pytest

from srv import InferenceRequest, InferenceResponse, InvalidInput, Tensor
from srv.codecs import input_codec, request_codec

NP = input_codec("np")
ARRAYS = {
    "BOOL": np.array([True, False]),
    "UINT8": np.array([0, 255], np.uint8),
    "UINT16": np.array([0, 65535], np.uint16),
    "UINT32": np.array([0, 2**32 - 1], np.uint32),
    "UINT64": np.array([0, 2**64 - 1], np.uint64),
    "INT8": np.array([-128, 127], np.int8),
    "INT16": np.array([-(2**15), 2**15 - 1], np.int16),
    "INT32": np.array([-(2**31), 2**31 - 1], np.int32),
    "INT64": np.array([-(2**63), 2**63 - 1]),
    "FP16": np.array([0.5, np.inf], np.float16),
    "FP32": np.array([0.5, np.nan], np.float32),
    "FP64": np.array([0.5, -np.inf]),
    "BYTES": np.array([b"a", b"\xff"], dtype=object),
}


@pytest.mark.parametrize("datatype, array", ARRAYS.items(), ids=ARRAYS)
def test_every_datatype_comes_back_as_it_was(datatype, array):
    tensor = NP.encode("x", array)

    assert NP.can_encode(array)
    assert (tensor.name, tensor.datatype, tensor.shape) == ("x", datatype, (2,))
    assert tensor.parameters == {"content_type": "np"}
    assert NP.decode(tensor).dtype == array.dtype
    np.testing.assert_array_equal(NP.decode(tensor), array)


@pytest.mark.parametrize("shape", [(), (0,), (3,), (3, 1), (2, 0, 3)], ids=str)
def test_no_shape_is_changed(shape):
    assert NP.decode(NP.encode("x", np.zeros(shape))).shape == shape


def test_a_contiguous_array_is_not_copied():
    array = np.ones((4, 4))

    assert np.shares_memory(NP.encode("x", array).data, array)
    assert NP.decode(NP.encode("x", array)) is NP.encode("x", array).data


@pytest.mark.parametrize("array", [np.ones((4, 4)).T[::2], np.arange(3, dtype=">i4")], ids=["strided", "big-endian"])
def test_other_arrays_become_contiguous_and_native(array):
    data = NP.encode("x", array).data

    assert data.flags.c_contiguous
    assert data.dtype.isnative
    np.testing.assert_array_equal(data, array)


@pytest.mark.parametrize("value", [np.float32(1), np.array(["a"]), np.int64(3), 1, 0.5, True, [[1, 2]]], ids=repr)
def test_numbers_text_arrays_and_lists_of_numbers_can_be_encoded(value):
    assert NP.can_encode(value)
    assert NP.encode("x", value).datatype in ("FP32", "FP64", "BYTES", "INT64", "BOOL")


@pytest.mark.parametrize("value", [[], "a", ["a"], None, 1j, np.array([1j]), np.array(["2020"], "M8[D]")], ids=repr)
def test_what_is_no_array_of_a_datatype_is_left_to_others(value):
    assert not NP.can_encode(value)


def test_a_whole_request_is_its_one_input():
    codec = request_codec("np")
    request = codec.encode_request(np.ones(2))
    response = codec.encode_response(np.ones(2))

    assert [tensor.name for tensor in request.inputs] == ["input"]
    assert [tensor.name for tensor in response.outputs] == ["output"]
    assert request.parameters == response.parameters == {"content_type": "np"}
    assert codec.decode_request(request).tolist() == codec.decode_response(response).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("content_type", ["np", "str"])
@pytest.mark.parametrize("count", [0, 2])
def test_a_whole_request_of_another_number_of_inputs_is_bad_input(content_type, count):
    codec = request_codec(content_type)
    tensors = [Tensor(f"x{index}", [b"a"]) for index in range(count)]

    with pytest.raises(InvalidInput, match=f"content type '{content_type}' has one tensor, and this one has {count}"):
        codec.decode_request(InferenceRequest(tensors))
    with pytest.raises(InvalidInput, match="A whole response of"):
        codec.decode_response(InferenceResponse(tensors))
