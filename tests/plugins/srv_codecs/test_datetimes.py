"""Content type datetime: ISO 8601, aware and naive."""
# ruff: noqa: DTZ001, DTZ901  naive datetimes are half of the matter

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from srv import InvalidInput, Tensor
from srv.codecs import input_codec
from srv.errors import SrvError
from srv.testing import assert_codec_round_trips

DATETIME = input_codec("datetime")
EAST = timezone(timedelta(hours=5, minutes=45))
OFFSETS = st.integers(-86399, 86399).map(lambda seconds: timezone(timedelta(seconds=seconds)))

READ = {
    "2026-01-02": datetime(2026, 1, 2),
    "20260102": datetime(2026, 1, 2),
    "2026-W01-5": datetime(2026, 1, 2),
    "2026-01-02T03:04": datetime(2026, 1, 2, 3, 4),
    "2026-01-02 03:04:05": datetime(2026, 1, 2, 3, 4, 5),
    "20260102T030405": datetime(2026, 1, 2, 3, 4, 5),
    "2026-01-02T03:04:05.5": datetime(2026, 1, 2, 3, 4, 5, 500_000),
    "2026-01-02T03:04:05,25": datetime(2026, 1, 2, 3, 4, 5, 250_000),
    "2026-01-02T03:04:05.123456000": datetime(2026, 1, 2, 3, 4, 5, 123_456),
    "2026-01-02T03:04:05Z": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    "2026-01-02T03:04:05+00:00": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    "2026-01-02T03:04:05+0545": datetime(2026, 1, 2, 3, 4, 5, tzinfo=EAST),
    "2026-01-02T03:04:05.000001+05:45": datetime(2026, 1, 2, 3, 4, 5, 1, tzinfo=EAST),
}
WRONG = {
    "nothing": "",
    "a word": "yesterday",
    "a number": "1767312000",
    "a month too many": "2026-13-02",
    "a day too many": "2026-02-29",
    "an hour too many": "2026-01-02T25:00",
    "another letter between": "2026-01-02x03:04",
    "small letters": "2026-01-02t03:04:05z",
    "blanks": " 2026-01-02 ",
    "two times": "2026-01-02T03:04:05T03:04:05",
    "other digits": "２０２６-01-02",
    "a name of a zone": "2026-01-02T03:04:05 Europe/Berlin",
    "NaT": "NaT",
}


def test_it_does_what_every_codec_must():
    values = [[], [datetime(2026, 1, 2)], [datetime(2026, 1, 2, 3, tzinfo=EAST), datetime.max, datetime.min]]
    assert_codec_round_trips(
        "datetime", values, wrong=[*(Tensor("x", [text]) for text in WRONG.values()), Tensor("x", [1.5])]
    )


@given(st.lists(st.datetimes() | st.datetimes(timezones=OFFSETS)))
def test_datetimes_come_back_as_they_were(values):
    tensor = DATETIME.encode("x", values)
    decoded = DATETIME.decode(tensor)

    assert (tensor.datatype, tensor.shape) == ("BYTES", (len(values),))
    assert tensor.parameters == {"content_type": "datetime"}
    assert decoded == values
    assert [value.utcoffset() for value in decoded] == [value.utcoffset() for value in values]


@pytest.mark.parametrize("text, value", READ.items(), ids=READ)
def test_iso_8601_is_read_aware_with_an_offset_and_naive_without(text, value):
    (decoded,) = DATETIME.decode(Tensor("x", [text]))

    assert (decoded, decoded.utcoffset()) == (value, value.utcoffset())


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_what_is_not_iso_8601_is_bad_input_that_names_the_tensor_and_the_place(text):
    with pytest.raises(
        InvalidInput, match=r"^Tensor 'x' cannot be read as content type 'datetime': element 1 is not IS"
    ):
        DATETIME.decode(Tensor("x", ["2026-01-02", text]))


def test_nothing_is_cut_off_that_is_finer_than_microseconds():
    with pytest.raises(InvalidInput, match="element 0 is finer than microseconds"):
        DATETIME.decode(Tensor("x", ["2026-01-02T03:04:05.1234567Z"]))


def test_null_is_bad_input_in_a_list_because_it_is_no_datetime():
    with pytest.raises(InvalidInput, match="element 1 is null, which only a table's column may have"):
        DATETIME.decode(Tensor("x", ["2026-01-02", "null"]))


def test_what_is_sent_has_an_offset_that_every_reader_of_iso_8601_knows():
    values = [datetime(2026, 1, 2, 3, tzinfo=UTC), datetime(2026, 1, 2)]

    assert DATETIME.encode("x", values).data.tolist() == [b"2026-01-02T03:00:00+00:00", b"2026-01-02T00:00:00"]


@pytest.mark.parametrize("value", [[datetime(2026, 1, 2)], [], datetime(2026, 1, 2), pd.Timestamp("2026")], ids=repr)
def test_datetimes_can_be_encoded(value):
    assert DATETIME.can_encode(value)


@pytest.mark.parametrize(
    "value",
    [[date(2026, 1, 2)], ["2026-01-02"], [None], None, np.ones(1), np.array([["2026"]], "M8[D]")],
    ids=repr,
)
def test_other_values_are_left_to_others(value):
    assert not DATETIME.can_encode(value)


@pytest.mark.parametrize(
    "value, why",
    [
        ("2026", "of type str, not datetime"),
        (pd.Timestamp(1), "finer than micro"),
        (np.datetime64(1, "ns"), "finer than micro"),
        (np.datetime64("10000-01-01"), "not within the years 1 to 9999"),
        (datetime(2026, 1, 2, tzinfo=timezone(timedelta(microseconds=1))), "of an offset that is finer than seconds"),
    ],
)
def test_a_client_that_encodes_something_else_is_told_the_place_and_why(value, why):
    with pytest.raises(SrvError, match=f"'x' cannot be written as content type 'datetime': element 1 is {why}"):
        DATETIME.encode("x", [datetime(2026, 1, 2), value])


MISSING = {
    "None": [datetime(2026, 1, 2), None],
    "NaT": [datetime(2026, 1, 2), pd.NaT],
    "NaT of numpy": [np.datetime64("2026-01-02"), np.datetime64("NaT", "s")],
    "an array": np.array(["2026-01-02", "NaT"], "M8[ns]"),
}


@pytest.mark.parametrize("value", MISSING.values(), ids=MISSING)
def test_what_is_missing_is_sent_as_null(value):
    assert DATETIME.can_encode(value)
    tensor = DATETIME.encode("x", value)

    assert tensor.data.tolist() == [b"2026-01-02T00:00:00", b"null"]
    assert DATETIME.decode_or_none(tensor) == [datetime(2026, 1, 2), None]


@pytest.mark.parametrize("value", [np.datetime64("2026-01-02"), np.array("2026-01-02", "M8[m]")], ids=repr)
def test_one_datetime_of_numpys_is_a_list_of_one(value):
    assert DATETIME.can_encode(value)
    assert DATETIME.decode(DATETIME.encode("x", value)) == [datetime(2026, 1, 2)]
