from datetime import date
from decimal import Decimal

import numpy as np
import pytest

from srv.datatypes import DATATYPES
from srv.tensors import DTYPES, Tensor, UnfitArray, datatype_of


def test_settings_and_tensors_know_the_same_datatypes():
    assert tuple(DTYPES) == DATATYPES


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


@pytest.mark.parametrize("datatype", [None, "BYTES"])
@pytest.mark.parametrize("data", [np.array([["ü", b"\xff"]], dtype=object), [["ü", b"\xff"]]], ids=["array", "list"])
def test_texts_and_bytes_are_held_as_an_object_array_of_bytes(data, datatype):
    tensor = Tensor("x", data, datatype)

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
        ([1], "BYTES", r"holds a value of type int at \[0\], and an array of objects takes only str and bytes"),
        ([1], "FP31", "unknown datatype 'FP31'"),
        ([1.0], "BF16", "is said to be BF16"),
        ([[1], [2, 3]], None, "is ragged"),
        ([1j], None, "holds complex128"),
        ([None, 1], None, r"holds a value of type int at \[1\], and an array of objects .* with NaN for None"),
    ],
)
def test_what_does_not_fit_is_never_wrapped_or_truncated(data, datatype, why):
    with pytest.raises(UnfitArray, match=why):
        Tensor("x", data, datatype)


@pytest.mark.parametrize("data, missing", [(["a", None], True), ([None], True), (["a"], False), ([1.5], False)])
def test_a_tensor_of_bytes_knows_whether_values_are_missing(data, missing):
    assert Tensor("x", data).missing is missing


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


MASKED = {
    "floats": (np.ma.array([1.5, 2.5], mask=[False, True]), "FP64", [1.5, np.nan]),
    "floats of 16 bits": (np.ma.array([[1, 2]], "float16", mask=[[True, False]]), "FP16", [[np.nan, 2]]),
    "floats of the other byte order": (np.ma.array([1, 2], ">f4", mask=[True, False]), "FP32", [np.nan, 2]),
    "all of them": (np.ma.masked_all((2,), "float32"), "FP32", [np.nan, np.nan]),
    "the masked constant": (np.ma.masked, "FP64", np.nan),
    "rows of a list": ([np.ma.array([1.0, 2.0], mask=[True, False]), np.ones(2)], "FP64", [[np.nan, 2], [1, 1]]),
    "an element of a list": ([1.5, np.ma.masked], "FP64", [1.5, np.nan]),
    "an element of a list in a list": ([[1.5, np.ma.masked]], "FP64", [[1.5, np.nan]]),
    "integers with nothing masked": (np.ma.array([1, 2], mask=[False, False]), "INT64", [1, 2]),
    "integers without a mask": (np.ma.array([1, 2], "int8"), "INT8", [1, 2]),
    "text with nothing masked": (np.ma.array(["a"]), "BYTES", [b"a"]),
}


@pytest.mark.parametrize("data, datatype, values", MASKED.values(), ids=MASKED)
def test_what_is_masked_in_floats_is_nan(data, datatype, values):
    tensor = Tensor("x", data)

    assert (tensor.datatype, type(tensor.data)) == (datatype, np.ndarray)
    if datatype == "BYTES":
        assert tensor.data.tolist() == values
    else:
        np.testing.assert_array_equal(tensor.data, values)


def test_masked_integers_are_nan_where_they_are_to_be_floats():
    masked = np.ma.array([1, 2], mask=[False, True])

    np.testing.assert_array_equal(Tensor("x", masked, "FP32").data, [1, np.nan])
    assert masked.tolist() == [1, None]


class Quantity(np.ndarray):
    unit = "m"


class Named(np.ndarray):
    """A subclass that means no more than its numbers."""


RECORDS = np.zeros(2, [("id", "i4"), ("score", "f4")])
MORE_THAN_AN_ARRAY = {
    "masked integers": (np.ma.array([1, 2], mask=[False, True]), r"is masked at \[1\], and int64 has no value"),
    "masked booleans": (np.ma.array([[True]], mask=[[True]]), r"is masked at \[0, 0\], and bool has"),
    "masked text": (np.ma.array(["a", "b"], mask=[True, False]), r"is masked at \[0\], and <U1 has"),
    "masked objects": (np.ma.array([b"a"], object, mask=[True]), r"is masked at \[0\], and object has"),
    "masked rows of a list": ([np.ma.array([1], mask=[True])], r"is masked at \[0\], and int64"),
    "numbers with a unit": (np.ones(2).view(Quantity), "has the unit 'm', which a tensor cannot say"),
    "records": (RECORDS, r"holds \[\('id', '<i4'\).*; send each of its fields as a tensor"),
    "a record array": (RECORDS.view(np.recarray), "holds .*; send each of its fields"),
    "datetimes": (np.array(["2026-01-02"], "M8[s]"), r"holds datetime64\[s\].* content type 'datetime' sends it"),
    "durations": (np.array([1], "m8[s]"), r"holds timedelta64\[s\].* its seconds"),
    "longdouble": (np.ones(1, np.longdouble), "holds float128.*make it float64"),
    "complex": (np.ones(1, np.complex64), "holds complex64.* its real and its imaginary part"),
}


@pytest.mark.parametrize("data, why", MORE_THAN_AN_ARRAY.values(), ids=MORE_THAN_AN_ARRAY)
def test_an_array_that_means_more_than_its_bytes_is_refused(data, why):
    with pytest.raises(UnfitArray, match=f"^Tensor 'x' {why}"):
        Tensor("x", data)


@pytest.mark.parametrize(
    "data",
    [
        np.ones((1, 2)).view(np.matrix),
        np.ones((1, 2)).view(Named),
        RECORDS.view(np.recarray).score,
        np.ma.array([[1, 2]]),
    ],
    ids=["matrix", "a class of one's own", "a record array's field", "masked array"],
)
def test_other_subclasses_are_plain_arrays_of_the_same_shape(data):
    tensor = Tensor("x", data)

    assert type(tensor.data) is np.ndarray
    assert tensor.shape == data.shape


NO_ARRAY = {
    "a set": ({1, 2}, "is a set, which is no array"),
    "a dict": ({"a": 1}, "is a dict, which is no array"),
    "a generator": ((each for each in [1]), "is a generator, which is no array"),
    "an object": (object(), "is a value of type object, which no datatype"),
    "a large integer": (2**70, "is an integer of more than 64 bits"),
    "a large integer in a list": (
        [1, 2**70],
        r"holds a value of type int at \[0\]|holds an integer of more than 64 bits at",
    ),
    "a large integer among objects": (np.array([2**70], object), r"holds an integer of more than 64 bits at \[0\]"),
    "integers of which no type holds all": ([2**63, -1], "holds integers of which no datatype holds all"),
    "a number among objects": (
        np.array([["a"], [1.5]], object),
        r"holds a value of type float at \[1, 0\], and an arr",
    ),
    "Decimal": ([Decimal(1)], r"holds a value of type Decimal at \[0\], and BYTES takes only str and bytes"),
    "date": ([date(2026, 1, 2)], r"holds a value of type date at \[0\], and .* content type 'datetime'"),
    "half an emoji": (["a", "\ud83d"], r"holds half of a surrogate pair at \[1\], which UTF-8 cannot say"),
    "half an emoji in an array": (np.array(["\ud83d"]), r"holds half of a surrogate pair at \[0\]"),
    "half an emoji alone": ("\ud83d", "holds half of a surrogate pair, which"),
}


@pytest.mark.parametrize("data, why", NO_ARRAY.values(), ids=NO_ARRAY)
def test_what_is_no_array_is_told_with_its_kind_and_its_place(data, why):
    with pytest.raises(UnfitArray, match=f"^Tensor 'x' ({why})"):
        Tensor("x", data)


@pytest.mark.skipif(not hasattr(np.dtypes, "StringDType"), reason="numpy 1 has no StringDType")
def test_numpys_variable_text_is_bytes():
    dtype = np.dtypes.StringDType(na_object=None)
    tensor = Tensor("x", np.array([["a", "ü"], ["", "c\0"]], np.dtypes.StringDType()))

    assert (tensor.datatype, tensor.data.tolist()) == ("BYTES", [[b"a", "ü".encode()], [b"", b"c\0"]])
    assert Tensor("x", np.array(["a", None], dtype)).missing


@pytest.mark.parametrize(
    "data, datatype, value",
    [([1e300], "FP32", "1e\\+300"), ([70000], "FP16", "70000"), ([1e300], "FP16", "1e\\+300")],
    ids=str,
)
def test_a_value_beyond_a_floats_range_is_refused_whatever_numpy_is_set_to(data, datatype, value):
    with np.errstate(all="raise"), pytest.raises(UnfitArray, match=f"{value}, which is out of {datatype}'s range"):
        Tensor("x", data, datatype)


def test_precision_is_lost_quietly_whatever_numpy_is_set_to():
    with np.errstate(all="raise"):
        tensor = Tensor("x", [1e-300, np.inf, 0.1], "FP32")

    assert tensor.data.tolist() == [0.0, np.inf, np.float32(0.1)]


def test_a_plain_array_is_taken_as_it_is():
    array = np.ones((2, 2))

    assert Tensor("x", array).data is array
