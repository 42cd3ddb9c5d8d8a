"""Content type json: any JSON value, one per element."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from srv import InvalidInput, Tensor
from srv.codecs import input_codec
from srv.errors import SrvError
from srv.testing import assert_codec_round_trips

JSON = input_codec("json")
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20)

WRONG = {
    "nothing": b"",
    "a word": b"text",
    "NaN": b"NaN",
    "Infinity": b"-Infinity",
    "a number beyond all numbers": b"1e999",
    "an open list": b"[1, 2",
    "two values": b"1 2",
    "single quotes": b"{'a': 1}",
    "a comma at the end": b"[1,]",
    "bytes": b'"\xff"',
    "half a pair": b'"\\ud800"',
    "a mark of byte order": b"\xef\xbb\xbf1",
    "a digit too many": b"9" * 5000,
}
NOT_JSON = {
    "complex": (1j, "holds complex"),
    "NaN": (math.nan, "holds nan"),
    "infinity": ({"a": [-math.inf]}, "holds -inf"),
    "NaN of numpy": ({"a": np.float32("nan")}, "holds nan"),
    "an array with NaN": ({"a": np.array([np.nan])}, "holds nan"),
    "bytes": ([b"a"], "holds bytes"),
    "a set": ({"a": {1}}, "holds set"),
    "an object": ([[object()]], "holds object"),
    "keys that are numbers": ({1: "a"}, "has keys that are not str"),
    "an array of dates": ({"a": np.array(["2026"], "M8[D]")}, "holds ndarray"),
}


def test_it_does_what_every_codec_must():
    assert_codec_round_trips(
        "json",
        [[], [None], [{"a": [1, 2.5, None, True, "ü"]}, [], {}], [2**70, "text", -0.0], [[[["deep"]]]]],
        wrong=[*(Tensor("x", [text]) for text in WRONG.values()), Tensor("x", [1]), Tensor("x", ["[" * 100_000])],
    )


@given(st.lists(VALUES))
def test_values_come_back_as_they_were(values):
    tensor = JSON.encode("x", values)

    assert JSON.can_encode(values)
    assert (tensor.datatype, tensor.shape) == ("BYTES", (len(values),))
    assert tensor.parameters == {"content_type": "json"}
    assert [json.loads(element) for element in tensor.data] == values
    assert JSON.decode(tensor) == values


def test_one_dict_is_a_list_of_one():
    assert JSON.can_encode({"a": 1})
    assert JSON.decode(JSON.encode("x", {"a": 1})) == [{"a": 1}]


def test_a_column_is_taken_as_its_values():
    assert JSON.decode(Tensor("x", [["1"], ["null"]])) == [1, None]


def test_below_an_element_numpys_numbers_and_arrays_are_numbers_and_lists():
    element = {"score": np.float32(0.5), "count": np.int64(3), "yes": np.True_, "box": np.eye(2), "pair": (1, 2)}

    assert JSON.can_encode([element])
    assert JSON.decode(JSON.encode("x", [element])) == [
        {"score": 0.5, "count": 3, "yes": True, "box": [[1.0, 0.0], [0.0, 1.0]], "pair": [1, 2]}
    ]


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_what_is_not_json_is_bad_input_that_names_the_tensor_and_the_place(text):
    with pytest.raises(InvalidInput, match=r"^Tensor 'x' cannot be read as content type 'json': element 1 is not JSON"):
        JSON.decode(Tensor("x", [b"1", text]))


def test_nesting_has_an_end():
    with pytest.raises(InvalidInput, match="element 0 is nested too deeply"):
        JSON.decode(Tensor("x", ["[" * 100_000]))


@pytest.mark.parametrize("value, why", NOT_JSON.values(), ids=NOT_JSON)
def test_what_json_cannot_say_is_left_to_others_and_told_to_a_client(value, why):
    assert not JSON.can_encode([1, value])
    with pytest.raises(SrvError, match=f"'x' cannot be written as content type 'json': element 1 {why}, which JSON"):
        JSON.encode("x", [1, value])


@pytest.mark.parametrize("value", [None, 1, "a", (1,), [np.ones(2)], np.ones(2)], ids=repr)
def test_what_is_no_list_of_values_is_left_to_others(value):
    assert not JSON.can_encode(value)
