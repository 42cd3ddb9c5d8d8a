"""Content type str: UTF-8 text as a list of str."""

import numpy as np
import pytest

from srv import InvalidInput, Tensor
from srv.codecs import input_codec, request_codec

STR = input_codec("str")


@pytest.mark.parametrize("texts", [[], [""], ["a", "ü", "🎈", "日本"], ["a\x00b", " "]], ids=repr)
def test_texts_come_back_as_they_were(texts):
    tensor = STR.encode("x", texts)

    assert (tensor.datatype, tensor.shape) == ("BYTES", (len(texts),))
    assert tensor.parameters == {"content_type": "str"}
    assert all(type(element) is bytes for element in tensor.data)
    assert STR.decode(tensor) == texts


def test_one_text_is_a_list_of_one():
    assert STR.decode(STR.encode("x", "abc")) == ["abc"]


def test_a_column_is_taken_as_its_texts():
    assert STR.decode(Tensor("x", [["a"], ["b"]])) == ["a", "b"]


WRONG = {
    "numbers": (Tensor("x", [1, 2]), "its datatype is INT64, not BYTES"),
    "a table": (Tensor("x", [["a", "b"]]), r"its shape is \[1, 2\], not \[N\] or \[N,1\]"),
    "a scalar": (Tensor("x", np.array(b"a", dtype=object)), r"its shape is \[\], not"),
    "a cube": (Tensor("x", [[["a"]]]), r"its shape is \[1, 1, 1\], not"),
    "bytes": (Tensor("x", [b"\xff"]), "it holds bytes that are not UTF-8"),
}


@pytest.mark.parametrize("tensor, why", WRONG.values(), ids=WRONG)
def test_what_is_no_list_of_text_is_bad_input_that_names_the_tensor(tensor, why):
    with pytest.raises(InvalidInput, match=f"Tensor 'x' cannot be read as content type 'str': {why}"):
        STR.decode(tensor)


@pytest.mark.parametrize("value", [["a"], [], "a"], ids=repr)
def test_lists_of_text_can_be_encoded(value):
    assert STR.can_encode(value)


@pytest.mark.parametrize("value", [["a", 1], [b"a"], ("a",), None, 1, np.array(["a"])], ids=repr)
def test_other_values_are_left_to_others(value):
    assert not STR.can_encode(value)


def test_a_whole_request_is_its_one_input():
    codec = request_codec("str")

    assert codec.decode_request(codec.encode_request(["a"])) == ["a"]
    assert codec.decode_response(codec.encode_response(["a"])) == ["a"]
