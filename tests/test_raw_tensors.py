import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from srv.errors import InvalidInput
from srv.tensors import DTYPES, Tensor
from srv.wire.raw_tensors import read_raw, write_raw

NUMBERS = [datatype for datatype in DTYPES if datatype != "BYTES"]


@given(st.data(), st.sampled_from(NUMBERS), array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
def test_numbers_come_back_bit_for_bit(data, datatype, shape):
    array = data.draw(arrays(DTYPES[datatype], shape))
    sent = bytes(write_raw(Tensor.trusted("x", array, datatype)))

    came = read_raw(sent, datatype, shape, "x")

    assert came.tobytes() == array.tobytes()
    assert (came.dtype, came.shape) == (array.dtype, array.shape)
    assert not came.flags.writeable


@given(st.lists(st.binary(max_size=20), max_size=6))
def test_bytes_come_back_element_for_element(values):
    sent = write_raw(Tensor("x", np.array([*values, None], dtype=object)[:-1], "BYTES"))

    assert read_raw(sent, "BYTES", [len(values)], "x").tolist() == values


def test_numbers_are_a_view_of_what_was_received():
    body = bytearray(16)

    array = read_raw(memoryview(body)[8:], "FP32", [2], "x")
    body[8:12] = struct.pack("<f", 5)

    assert array.tolist() == [5, 0]


def test_unaligned_numbers_are_copied_once():
    array = read_raw(memoryview(b"\0" + struct.pack("<d", 2.5))[1:], "FP64", [1], "x")

    assert array.flags.aligned
    assert array.tolist() == [2.5]


@pytest.mark.parametrize(
    "data, datatype, shape, sentence",
    [
        (b"1234", "FP32", [2], "x: 4 bytes were sent where its datatype and shape need 8"),
        (b"123456789", "FP32", [2], "9 bytes were sent"),
        (b"", "FP64", [10**8, 10**9], "0 bytes were sent"),
        (b"", "FP64", [2**62, 2**62], "larger than any array"),
        (b"", "FP64", [0, 2**63], "larger than any array"),
        (b"", "FP64", [-1], "its length 0 is -1"),
        (b"", "FP64", [1] * 33, "33 dimensions"),
        (b"1", "FP31", [1], "'FP31' is unknown"),
        (b"\x02", "BOOL", [1], "2 is no boolean"),
        (b"", "BYTES", [10**12], "0 bytes cannot hold 1000000000000 elements"),
        (b"\1\0\0", "BYTES", [1], "3 bytes cannot hold 1 elements"),
        (b"\5\0\0\0abc", "BYTES", [1], "element 0 is said to have 5 bytes, and 3 are left"),
        (b"\xff\xff\xff\xffabc", "BYTES", [1], "element 0 is said to have 4294967295 bytes"),
        (b"\5\0\0\0abcde\0\0", "BYTES", [2], "the bytes end before element 1"),
        (b"\1\0\0\0ab", "BYTES", [1], "1 bytes are left after the last element"),
    ],
)
def test_lengths_that_lie_are_refused(data, datatype, shape, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        read_raw(data, datatype, shape, "x")


def test_bytes_of_many_small_elements_are_written_with_little_more_memory_than_they_need():
    tensor = Tensor("x", np.full(100_000, b"", object), "BYTES")

    tracemalloc.start()
    try:
        sent = write_raw(tensor)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(sent) == 400_000
    assert most < 6 * len(sent)
