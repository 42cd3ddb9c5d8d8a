"""Content type pd: a table, column by column."""
# ruff: noqa: DTZ001, DTZ901  naive datetimes are half of the matter

import sys
from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from srv import InferenceRequest, InferenceResponse, InvalidInput, Tensor
from srv.codecs import request_codec
from srv.errors import SrvError
from srv.testing import assert_codec_round_trips

PD = request_codec("pd")
FIRST, SECOND = datetime(2026, 1, 2), datetime(2026, 1, 2, 3, 4, 5, 678_901)

# A column, its tensor's datatype and content type, and what comes back where it is not the same.
COLUMNS = {
    "bool": (pd.Series([True, False]), "BOOL", None, None),
    "int8": (pd.Series([-128, 127], dtype="int8"), "INT8", None, None),
    "int64": (pd.Series([-(2**63), 2**63 - 1]), "INT64", None, None),
    "uint64": (pd.Series([0, 2**64 - 1], dtype="uint64"), "UINT64", None, None),
    "float16": (pd.Series([0.5, 1], dtype="float16"), "FP16", None, None),
    "float32 with NaN": (pd.Series([0.5, np.nan], dtype="float32"), "FP32", None, None),
    "float64": (pd.Series([1.5, -0.0]), "FP64", None, None),
    "Int32": (pd.Series([1, 2], dtype="Int32"), "INT32", None, pd.Series([1, 2], dtype="int32")),
    "Int64 with NA": (pd.Series([2**53 + 1, None], dtype="Int64"), "BYTES", "pd_json", None),
    "boolean": (pd.Series([True, False], dtype="boolean"), "BOOL", None, pd.Series([True, False])),
    "boolean with NA": (pd.Series([True, None], dtype="boolean"), "BYTES", "pd_json", None),
    "Float32 with NA": (
        pd.Series([1.5, None], dtype="Float32"),
        "FP32",
        None,
        pd.Series([1.5, np.nan], dtype="float32"),
    ),
    "str": (pd.Series(["a", "ü"]), "BYTES", "str", None),
    "str with NaN": (pd.Series(["a", None]), "BYTES", "pd_json", None),
    "str in objects": (pd.Series(["a", "b"], dtype=object), "BYTES", "str", pd.Series(["a", "b"])),
    "string with NA": (pd.Series(["a", None], dtype="string"), "BYTES", "pd_json", pd.Series(["a", None])),
    "nothing but None": (pd.Series([None, None], dtype=object), "BYTES", "pd_json", None),
    "bytes": (pd.Series([b"a", b"\xff"]), "BYTES", "base64", None),
    "datetimes": (pd.Series([FIRST, SECOND], dtype="datetime64[us]"), "BYTES", "datetime", None),
    "datetimes in UTC": (
        pd.Series([FIRST.replace(tzinfo=UTC), SECOND.replace(tzinfo=UTC)], dtype="datetime64[us, UTC]"),
        "BYTES",
        "datetime",
        None,
    ),
    "datetimes with NaT": (pd.Series([FIRST, None], dtype="datetime64[us]"), "BYTES", "datetime", None),
    "datetimes in UTC with NaT": (
        pd.Series([FIRST.replace(tzinfo=UTC), None], dtype="datetime64[us, UTC]"),
        "BYTES",
        "datetime",
        None,
    ),
    "nothing but NaT": (pd.Series([None, None], dtype="datetime64[us]"), "BYTES", "datetime", None),
    "datetimes of nanoseconds": (
        pd.Series([FIRST, None], dtype="datetime64[ns]"),
        "BYTES",
        "datetime",
        pd.Series([FIRST, None], dtype="datetime64[us]"),
    ),
    "datetimes in objects": (
        pd.Series([FIRST, None, pd.NaT], dtype=object),
        "BYTES",
        "datetime",
        pd.Series([FIRST, None, None], dtype="datetime64[us]"),
    ),
    "categories of str": (pd.Series(["a", "a"], dtype="category"), "BYTES", "str", pd.Series(["a", "a"])),
    "categories of int": (pd.Series([3, 3], dtype="category"), "INT64", None, pd.Series([3, 3])),
    "categories of int with NaN": (
        pd.Series([3, None], dtype="Int64").astype("category"),
        "BYTES",
        "pd_json",
        pd.Series([3, None], dtype="Int64"),
    ),
    "categories of datetimes": (
        pd.Series([FIRST] * 2).astype("category"),
        "BYTES",
        "datetime",
        pd.Series([FIRST] * 2, dtype="datetime64[us]"),
    ),
    "lists and dicts": (pd.Series([[1, None], {"a": "b"}]), "BYTES", "pd_json", None),
    "words and numbers": (pd.Series(["a", 1], dtype=object), "BYTES", "pd_json", None),
    "numbers in objects": (pd.Series([1, 2.5], dtype=object), "BYTES", "pd_json", pd.Series([1, 2.5])),
    "sparse": (pd.Series(pd.arrays.SparseArray([0, 1])), "INT64", None, pd.Series([0, 1])),
    "no rows of int32": (pd.Series([], dtype="int32"), "INT32", None, None),
    "no rows of text": (pd.Series([], dtype="str"), "BYTES", "str", None),
    "no rows of objects": (pd.Series([], dtype=object), "BYTES", "str", pd.Series([], dtype="str")),
}
UNFIT = {
    "complex128": (pd.Series([1j]), "it holds complex"),
    "timedelta64": (pd.Series(pd.to_timedelta([1])), "it holds Timedelta"),
    "period": (pd.Series(pd.period_range("2026", "2026", freq="D")), "it holds Period"),
    "interval": (pd.Series(pd.interval_range(0, 1)), "it holds Interval"),
    "object": (pd.Series([Decimal(1)]), "it holds Decimal"),
    "object ": (pd.Series([date(2026, 1, 2)]), "it holds date"),
    "object  ": (pd.Series([b"a", None], dtype=object), "it holds bytes beside others or missing ones"),
    "object   ": (pd.Series([{"a": np.nan}]), "it holds nan"),
    "datetime64": (pd.Series(pd.to_datetime([0, 1], unit="ns")), "row 1 is finer than microseconds"),
    "object    ": (
        pd.Series([FIRST, None, SECOND.replace(tzinfo=UTC)], dtype=object),
        "row 2 has an offset from UTC and row 0 has none",
    ),
    "float128": (pd.Series([1], dtype=np.longdouble), "no datatype of the protocol is like it"),
}


def tables():
    """Tables of columns that come back as they were."""
    columns = {
        "count": st.integers(-(2**63), 2**63 - 1),
        "size": st.floats(),
        "yes": st.booleans(),
        "name": st.text(st.characters(exclude_categories=["Cs"])),
        "raw": st.binary(),
    }
    return st.integers(1, 5).flatmap(
        lambda rows: st.fixed_dictionaries(
            {}, optional={name: st.lists(one, min_size=rows, max_size=rows) for name, one in columns.items()}
        )
    )


TYPES = {"count": "int64", "size": "float64", "yes": "bool", "name": "str", "raw": object}


def test_it_does_what_every_codec_must():
    # without float16, because pandas warns of itself when it shows such a column
    columns = {name: column for name, (column, _, _, back) in COLUMNS.items() if back is None and len(column)}
    assert_codec_round_trips(
        "pd",
        [
            pd.DataFrame(),
            pd.DataFrame(columns).drop(columns="float16"),
            pd.DataFrame({"a": pd.Series([], dtype="int64"), "b": pd.Series([], dtype="str")}),
        ],
        wrong=[
            Tensor("x", [[1, 2]]),
            Tensor("x", np.array(1)),
            Tensor("x", [b"\xff"]),
            Tensor("x", ["no"], parameters={"content_type": "datetime"}),
            InferenceRequest([Tensor("x", [1]), Tensor("y", [1, 2])]),
        ],
    )


@given(tables())
def test_a_table_comes_back_as_it_was(values):
    table = pd.DataFrame({name: pd.Series(column, dtype=TYPES[name]) for name, column in values.items()})

    assert_frame_equal(PD.decode_request(PD.encode_request(table)), table)


@pytest.mark.parametrize("column, datatype, content_type, back", COLUMNS.values(), ids=COLUMNS)
def test_a_column_is_a_tensor_of_its_own_both_ways(column, datatype, content_type, back):
    table = pd.DataFrame({"x": column})
    request, response = PD.encode_request(table), PD.encode_response(table)
    expected = table if back is None else pd.DataFrame({"x": back})

    (tensor,) = request.inputs
    assert (tensor.name, tensor.datatype, tensor.shape) == ("x", datatype, (len(column),))
    assert tensor.parameters.get("content_type") == content_type
    assert request.parameters == response.parameters == {"content_type": "pd"}
    assert_frame_equal(PD.decode_request(request), expected)
    assert_frame_equal(PD.decode_response(response), expected)


@pytest.mark.parametrize("column, why", UNFIT.values(), ids=[name.strip() for name in UNFIT])
def test_a_column_that_cannot_be_sent_is_named_with_its_type(column, why):
    table = pd.DataFrame({"fine": [1] * len(column), "odd": column})

    with pytest.raises(SrvError, match=f"^Column 'odd' of type .+ cannot be sent: {why}") as error:
        PD.encode_response(table)
    assert str(column.dtype) in str(error.value)


@pytest.mark.parametrize(
    "names, why",
    [([1], "Column '1' of type int64 cannot be sent: its name is of type int"), (["a", "a"], "another column has the")],
    ids=["a number", "twice"],
)
def test_a_column_that_no_input_can_be_called_after_is_named(names, why):
    with pytest.raises(SrvError, match=why):
        PD.encode_request(pd.DataFrame([[1] * len(names)], columns=names))


def test_the_order_of_columns_is_kept_and_the_index_is_not():
    table = pd.DataFrame({"b": [1, 2], "a": [3, 4]}, index=["x", "y"])

    assert_frame_equal(PD.decode_request(PD.encode_request(table)), table.reset_index(drop=True))


WINTER, SUMMER = "2026-01-02T03:00:00+01:00", "2026-07-02T03:00:00+02:00"
SEASONS = {
    "winter": [WINTER],
    "summer": [SUMMER],
    "over a change of the clock": [WINTER, SUMMER],
    "London's winter": ["2026-01-02T03:00:00Z"],
    "with one missing": [WINTER, "null", SUMMER],
}


@pytest.mark.parametrize("texts", SEASONS.values(), ids=SEASONS)
def test_aware_datetimes_are_in_utc_whatever_their_season(texts):
    column = PD.decode_request(InferenceRequest([Tensor("x", texts, parameters={"content_type": "datetime"})]))["x"]

    assert str(column.dtype) == "datetime64[us, UTC]"
    assert [None if value is pd.NaT else value for value in column] == [
        None if text == "null" else datetime.fromisoformat(text) for text in texts
    ]


def test_a_zone_comes_back_in_utc():
    zoned = pd.Series(pd.to_datetime(["2026-01-02", "2026-07-02", None])).dt.tz_localize("Europe/Berlin")

    column = PD.decode_request(PD.encode_request(pd.DataFrame({"x": zoned})))["x"]

    assert str(column.dtype) == "datetime64[us, UTC]"
    assert (column == zoned).tolist() == [True, True, False]
    assert column.isna().tolist() == [False, False, True]


def test_the_whole_range_of_datetimes_is_read_and_what_leaves_it_in_utc_is_bad_input():
    def read(*texts):
        return PD.decode_request(InferenceRequest([Tensor("x", texts, parameters={"content_type": "datetime"})]))

    assert [*read("0001-01-01", "9999-12-31T23:59:59.999999")["x"]] == [datetime.min, datetime.max]
    with pytest.raises(InvalidInput, match="row 1 is not within the years 1 to 9999 in UTC"):
        read(WINTER, "0001-01-01T00:00:00+01:00")


def test_a_table_that_was_read_may_be_written_to():
    array = np.ones(2)
    array.flags.writeable = False

    table = PD.decode_request(InferenceRequest([Tensor("x", array)]))
    table.loc[0, "x"] = 5.0

    assert table["x"].tolist() == [5.0, 1.0]
    assert array.tolist() == [1.0, 1.0]


def test_text_that_says_no_content_type_is_text():
    table = PD.decode_request(InferenceRequest([Tensor("x", [["a"], ["b"]])]))

    assert_frame_equal(table, pd.DataFrame({"x": ["a", "b"]}))


WRONG = {
    "rows": ([Tensor("a", [1, 2]), Tensor("b", [1])], "'a' has 2 rows and 'b' has 1"),
    "names": ([Tensor("a", [1]), Tensor("a", [2])], "'a' is there twice"),
    "a matrix": ([Tensor("a", [[1, 2]])], r"Tensor 'a' cannot be read as content type 'pd': its shape is \[1, 2\]"),
    "a scalar": ([Tensor("a", np.array(1))], r"Tensor 'a' .*: its shape is \[\]"),
    "no text": ([Tensor("a", [b"\xff"])], "Tensor 'a' .*'str': it holds bytes that are not UTF-8"),
    "no base64": ([Tensor("a", ["?"], parameters={"content_type": "base64"})], "Tensor 'a' .*'base64': element 0"),
    "no JSON": ([Tensor("a", ["?"], parameters={"content_type": "pd_json"})], "Tensor 'a' .*'json': element 0"),
    "no datetime": ([Tensor("a", ["?"], parameters={"content_type": "datetime"})], "Tensor 'a' .*'datetime': ele"),
    "numbers as text": ([Tensor("a", [1], parameters={"content_type": "str"})], "Tensor 'a' .*'str': its datatype"),
    "BF16": ([Tensor("a", np.ones(1, np.uint16), "BF16")], "Tensor 'a' .*: its datatype is BF16"),
    "naive datetimes among aware ones": (
        [Tensor("a", ["null", WINTER, "2026-01-02"], parameters={"content_type": "datetime"})],
        "Tensor 'a' .*'datetime': row 1 has an offset from UTC and row 2 has none",
    ),
    "a stranger's": ([Tensor("a", ["?"], parameters={"content_type": "pic"})], "Tensor 'a' .*: its content type is 'p"),
}


@pytest.mark.parametrize("tensors, why", WRONG.values(), ids=WRONG)
def test_what_are_no_columns_of_one_table_is_bad_input_that_names_the_tensor(tensors, why):
    with pytest.raises(InvalidInput, match=why):
        PD.decode_request(InferenceRequest(tensors))
    with pytest.raises(InvalidInput, match=why):
        PD.decode_response(InferenceResponse(tensors))


def test_only_tables_can_be_encoded():
    assert PD.can_encode(pd.DataFrame())
    assert not any(map(PD.can_encode, [None, {}, [], np.ones((2, 2)), pd.Series([1])]))
    with pytest.raises(SrvError, match=r"for a pandas\.DataFrame, not for Series"):
        PD.encode_request(pd.Series([1]))


def test_without_pandas_the_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)

    assert not PD.can_encode([])
    with pytest.raises(InvalidInput, match=r"needs pandas, .*pip install 'srv-inference\[pandas\]'"):
        PD.decode_request(InferenceRequest([Tensor("x", [1])]))
    with pytest.raises(SrvError, match="needs pandas"):
        PD.encode_request([])
