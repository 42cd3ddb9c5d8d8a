import numpy as np
import pytest

from srv.modelsettings import DATATYPES
from srv.tensors import DTYPES, Tensor, UnfitArray, datatype_of


def test_settings_and_tensors_know_the_same_datatypes():
    assert set(DATATYPES) == set(DTYPES)


@pytest.mark.parametrize(
    "data, datatype, shape",
    [
        ([1, 2], "INT64", (2,)),
        ([1.5], "FP64", (1,)),
        ([[True], [False]], "BOOL", (2, 1)),
        (["a", "b"], "BYTES", (2,)),
        ([b"a"], "BYTES", (1,)),
        (np.array(["a", "bc"]), "BYTES", (2,)),
        (np.array([b"a", b"bc"]), "BYTES", (2,)),
        (np.float16(1), "FP16", ()),
        (np.ones((2, 3), ">u2"), "UINT16", (2, 3)),
        (3, "INT64", ()),
    ],
    ids=str,
)
def test_datatype_and_shape_follow_from_the_data(data, datatype, shape):
    tensor = Tensor("x", data)

    assert (tensor.datatype, tensor.shape) == (datatype, shape)
    assert tensor.data.dtype.isnative
    assert tensor.data.flags.c_contiguous


def test_bytes_are_held_as_an_object_array_of_bytes():
    tensor = Tensor("x", np.array([["ü", b"\xff"]], dtype=object))

    assert tensor.data.tolist() == [["ü".encode(), b"\xff"]]


@pytest.mark.parametrize(
    "data, datatype, value",
    [
        ([1, 2], "FP32", [1.0, 2.0]),
        ([1.5], "FP16", [1.5]),
        (np.array([7], np.int64), "UINT8", [7]),
        ([], "INT8", []),
        ([], "BYTES", []),
    ],
)
def test_a_datatype_that_holds_the_values_is_taken(data, datatype, value):
    tensor = Tensor("x", data, datatype)

    assert tensor.data.dtype == DTYPES[datatype]
    assert tensor.data.tolist() == value


@pytest.mark.parametrize(
    "data, datatype, why",
    [
        ([1.5], "INT32", "is said to be INT32, but its array is FP64"),
        ([300], "UINT8", "300, which is out of UINT8's range"),
        ([-1], "UINT64", "-1, which is out of UINT64's range"),
        ([1], "BOOL", "is said to be BOOL"),
        ([1], "BYTES", "holds a int where BYTES"),
        ([1], "FP31", "unknown datatype 'FP31'"),
        ([1.0], "BF16", "is said to be BF16"),
        ([[1], [2, 3]], None, "is ragged"),
        ([1j], None, "holds complex128"),
        ([None], None, "holds a NoneType where BYTES"),
    ],
)
def test_what_does_not_fit_is_never_wrapped_or_truncated(data, datatype, why):
    with pytest.raises(UnfitArray, match=why):
        Tensor("x", data, datatype)


def test_bf16_is_held_as_its_sixteen_bits():
    assert Tensor("x", np.zeros(2, np.uint16), "BF16").data.dtype == np.uint16


def test_a_shape_given_must_be_filled():
    assert Tensor("x", [1, 2, 3, 4], shape=[2, 2]).data.tolist() == [[1, 2], [3, 4]]
    with pytest.raises(UnfitArray, match=r"4 values, which do not fill the shape \[3\]"):
        Tensor("x", [1, 2, 3, 4], shape=[3])


def test_a_dtype_of_any_byte_order_has_the_protocols_name():
    assert datatype_of(np.dtype(">f4")) == "FP32"
    assert datatype_of(np.dtype(np.complex64)) is None


def test_zero_bytes_at_an_end_are_kept():
    assert Tensor("x", [b"a\0", "b\0"]).data.tolist() == [b"a\0", b"b\0"]
