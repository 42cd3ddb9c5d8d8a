"""Content type base64: bytes of any kind as text."""

import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from srv import InvalidInput, Tensor
from srv.codecs import input_codec
from srv.errors import SrvError
from srv.testing import assert_codec_round_trips

BASE64 = input_codec("base64")

WRONG = {
    "another letter": b"QQ=*",
    "a line's end": b"QUJD\nQUJD",
    "a blank": b" QQ==",
    "no padding": b"QQ",
    "padding amid": b"QQ==QQ==",
    "too much padding": b"QUJD=",
    "padding alone": b"====",
    "a whole group of padding": b"QUJD====",
    "bits that are left over": b"QR==",
    "the alphabet of URLs": b"-_-_",
    "bytes": b"\xff\xff\xff\xff",
    "one letter too many": b"QUJDQ",
}


def test_it_does_what_every_codec_must():
    assert_codec_round_trips(
        "base64",
        [[], [b""], [b"a", b"\xff\x00"], [bytes(range(256))]],
        wrong=[*(Tensor("x", [text]) for text in WRONG.values()), Tensor("x", [1]), Tensor("x", [["QQ==", "QQ=="]])],
    )


@given(st.lists(st.binary()))
def test_bytes_come_back_as_they_were(values):
    tensor = BASE64.encode("x", values)

    assert (tensor.datatype, tensor.shape) == ("BYTES", (len(values),))
    assert tensor.parameters == {"content_type": "base64"}
    assert [base64.b64decode(element) for element in tensor.data] == values
    assert BASE64.decode(tensor) == values


def test_one_bytes_is_a_list_of_one():
    assert BASE64.decode(BASE64.encode("x", b"abc")) == [b"abc"]


def test_a_column_is_taken_as_its_elements():
    assert BASE64.decode(Tensor("x", [["YQ=="], ["Yg=="]])) == [b"a", b"b"]


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_what_is_not_base64_to_the_letter_is_bad_input_that_names_the_tensor_and_the_place(text):
    with pytest.raises(
        InvalidInput, match=r"^Tensor 'x' cannot be read as content type 'base64': element 1 is not base"
    ):
        BASE64.decode(Tensor("x", [b"QQ==", text]))


@pytest.mark.parametrize("value", [[b"a"], [], b""], ids=repr)
def test_lists_of_bytes_can_be_encoded(value):
    assert BASE64.can_encode(value)


@pytest.mark.parametrize("value", [["a"], [b"a", "a"], (b"a",), bytearray(b"a"), None, np.array([b"a"])], ids=repr)
def test_other_values_are_left_to_others(value):
    assert not BASE64.can_encode(value)


def test_a_client_that_encodes_something_else_is_told_the_place_and_the_type():
    with pytest.raises(SrvError, match="'x' cannot be written as content type 'base64': element 1 is of type str, not"):
        BASE64.encode("x", [b"a", "b"])
