"""Content type json: any JSON value, one per element."""

import json
import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
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

AN_ODD_ZONE = timezone(timedelta(hours=5, minutes=45, seconds=30))

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


class Quantity(np.ndarray):
    unit = "m"


SAID = {
    "a date": (date(2026, 1, 2), "2026-01-02"),
    "a datetime": (datetime(2026, 1, 2, 3, tzinfo=UTC), "2026-01-02T03:00:00Z"),
    "a time": (time(3, 4), "03:04:00"),
    "Decimal": (Decimal("1.10"), "1.10"),
    "UUID": (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    "a Timestamp of nanoseconds": (pd.Timestamp(1), "1970-01-01T00:00:00.000000001"),
    "NaT": (pd.NaT, None),
    "NA": (pd.NA, None),
    "a datetime of long ago": (datetime(1880, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")), "1880-01-01T00:00:00+00:53:28"),
    "a time with seconds of offset": (time(1, tzinfo=AN_ODD_ZONE), "01:00:00+05:45:30"),
    "such ones in lists": (
        [{"a": (datetime(2026, 1, 2, tzinfo=AN_ODD_ZONE), datetime(2026, 1, 2, tzinfo=UTC), np.float32(0.5))}],
        [{"a": ["2026-01-02T00:00:00+05:45:30", "2026-01-02T00:00:00Z", 0.5]}],
    ),
    "such ones in an array": (
        np.array([datetime(2026, 1, 2, tzinfo=AN_ODD_ZONE), None]),
        ["2026-01-02T00:00:00+05:45:30", None],
    ),
    "a datetime of numpy": (np.datetime64("2026-01-02"), "2026-01-02"),
    "NaT of numpy": (np.datetime64("NaT", "s"), None),
    "datetimes of numpy": (np.array([["2026-01-02T03", "NaT"]], "M8[h]"), [["2026-01-02T03", None]]),
    "masked integers": (np.ma.array([1, 2], mask=[False, True]), [1, None]),
    "masked floats": (np.ma.array([[1.5, np.nan]], mask=[[False, True]]), [[1.5, None]]),
    "the masked constant": (np.ma.masked, None),
    "objects": (np.array([date(2026, 1, 2), None], object), ["2026-01-02", None]),
}


@pytest.mark.parametrize("value, said", SAID.values(), ids=SAID)
def test_what_json_has_no_type_for_is_text_or_null(value, said):
    elements = [{"a": value}, [value, [value]]]

    assert JSON.can_encode(elements)
    assert JSON.decode(JSON.encode("x", elements)) == [{"a": said}, [said, [said]]]


def test_what_holds_itself_is_no_json():
    circle: list[object] = []
    circle.append(circle)

    assert not JSON.can_encode([circle])
    with pytest.raises(SrvError, match="element 0 holds itself, or too many levels"):
        JSON.encode("x", [circle])


def test_half_of_a_surrogate_pair_is_told_with_its_place():
    with pytest.raises(SrvError, match="element 1 holds half of a surrogate pair"):
        JSON.encode("x", ["a", {"b": "\ud83d"}])


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
    "longdouble": ({"a": np.longdouble(1)}, "holds longdouble"),
    "an array of longdouble": ([np.ones(1, np.longdouble)], "holds ndarray"),
    "an infinite Decimal": ([Decimal("Infinity")], "holds Infinity"),
    "a duration": ([timedelta(1)], "holds timedelta"),
    "an array of durations": ([np.array([1], "m8[s]")], "holds ndarray"),
    "records": ([np.zeros(1, [("a", "i4")])], "holds ndarray"),
    "numbers with a unit": ({"a": np.ones(2).view(Quantity)}, "has the unit 'm'"),
}


def test_it_does_what_every_codec_must():
    assert_codec_round_trips(
        "json",
        [[], [None], [{"a": [1, 2.5, None, True, "ü"]}, [], {}], [2**70, "text", -0.0], [[[["deep"]]]]],
        wrong=[*(Tensor("x", [text]) for text in WRONG.values()), Tensor("x", [1]), Tensor("x", ["[" * 100_000])],
    )


@pytest.mark.fuzz
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
