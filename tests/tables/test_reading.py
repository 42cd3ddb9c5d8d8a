"""Tables are read from every form that clients send, and what does not fit is named by column and row."""

import json

import numpy as np
import pandas as pd
import pytest

from srv.codecs import request_codec
from srv.messages import InferenceRequest
from srv.model_settings import ModelParameters, ModelSettings, Spec
from srv.tables import Column, Table, TableError
from srv.tensors import Tensor

HOMES = Table(
    [
        Column("city", "text"),
        Column("area", "float"),
        Column("rooms", "integer"),
        Column("balcony", "boolean"),
        Column("größe", "category", categories=("S", "M", "L")),
        Column("since", "datetime"),
    ]
)
FRAME = pd.DataFrame(
    {
        "city": pd.Series(["Ulm", None, "Köln"], dtype="str" if pd.__version__ >= "3" else object),
        "area": [50.5, np.nan, 70.0],
        "rooms": [2, 3, 1],
        "balcony": [True, False, True],
        "größe": pd.Categorical(["S", None, "L"], categories=["S", "M", "L"]),
        "since": pd.to_datetime(["2020-01-01T12:30:00", "2021-06-01T00:00:00", None]).astype(
            pd.Series([pd.Timestamp("2020-01-01T12:30:00").to_pydatetime()]).dtype
        ),
    }
)
ROWS = [
    {"city": "Ulm", "area": 50.5, "rooms": 2, "balcony": True, "größe": "S", "since": "2020-01-01T12:30:00"},
    {"city": None, "area": None, "rooms": 3, "balcony": False, "größe": None, "since": "2021-06-01"},
    {"city": "Köln", "area": 70, "rooms": 1, "balcony": True, "größe": "L", "since": None},
]


def as_rows(rows, *, shape=None, **parameters):
    elements = np.array([json.dumps(row).encode() for row in rows], dtype=object)
    tensor = Tensor("rows", elements, "BYTES", shape, parameters={"content_type": "json"} | parameters)
    return InferenceRequest([tensor])


def as_columns(rows=ROWS, **changed):
    tensors = {
        "city": Tensor("city", [row["city"] for row in rows], "BYTES"),
        "area": Tensor("area", np.array([np.nan if row["area"] is None else row["area"] for row in rows])),
        "rooms": Tensor("rooms", np.array([row["rooms"] for row in rows])),
        "balcony": Tensor("balcony", np.array([row["balcony"] for row in rows])),
        "größe": Tensor("größe", [row["größe"] for row in rows], "BYTES"),
        "since": Tensor("since", [row["since"] for row in rows], "BYTES"),
    } | changed
    return InferenceRequest([tensor for tensor in tensors.values() if tensor is not None])


def text_of(value):
    return value if value is None or isinstance(value, str) else json.dumps(value)


def as_matrix(rows=ROWS):
    return InferenceRequest([Tensor("x", [[text_of(value) for value in row.values()] for row in rows], "BYTES")])


def as_json_matrix(rows=ROWS):
    elements = [[json.dumps(value) for value in row.values()] for row in rows]
    return InferenceRequest([Tensor("anything", elements, "BYTES", parameters={"content_type": "json"})])


def as_pd(frame=FRAME):
    return request_codec("pd").encode_request(frame.assign(since=frame["since"].fillna(pd.Timestamp("2020-01-01"))))


@pytest.mark.parametrize(
    "request_of",
    [
        pytest.param(lambda: as_rows(ROWS), id="rows"),
        pytest.param(lambda: as_rows(ROWS, shape=[3, 1]), id="rows [n,1]"),
        pytest.param(lambda: as_rows([list(row.values()) for row in ROWS]), id="rows as arrays"),
        pytest.param(as_columns, id="columns"),
        pytest.param(lambda: InferenceRequest(as_columns().inputs[::-1]), id="columns in another order"),
        pytest.param(as_matrix, id="texts"),
        pytest.param(as_json_matrix, id="JSON values"),
    ],
)
def test_each_form_gives_the_table_of_training(request_of):
    pd.testing.assert_frame_equal(HOMES.read(request_of()), FRAME)


def test_the_request_codec_pd_gives_the_table_of_training():
    expected = FRAME.assign(since=FRAME["since"].fillna(pd.Timestamp("2020-01-01")))
    pd.testing.assert_frame_equal(HOMES.read(as_pd()), expected)


def test_columns_come_as_n_by_1_too():
    tensors = [
        Tensor.trusted(t.name, t.data.reshape(-1, 1), t.datatype, missing=t.missing) for t in as_columns().inputs
    ]
    pd.testing.assert_frame_equal(HOMES.read(InferenceRequest(tensors)), FRAME)


@pytest.mark.parametrize(
    "changed, sentence",
    [
        ({"city": Tensor("city", [7.0, 8.0, 9.0])}, "Column 'city', row 0: the number 7.0 (FP64) stands where text belongs."),
        ({"city": Tensor("city", [True, True, True])}, "Column 'city', row 0: true (BOOL) stands where text belongs."),
        ({"city": Tensor("city", [b"a", b"\xff", b"b"])}, "Column 'city', row 1: a value that is not UTF-8 stands where text belongs."),
        ({"area": Tensor("area", ["50", "60", "70"])}, "Column 'area', row 0: '50' (BYTES) stands where a number belongs."),
        ({"area": Tensor("area", [True, True, True])}, "Column 'area', row 0: true (BOOL) stands where a number belongs."),
        ({"area": Tensor("area", [1, 2, 2**60 + 1])}, f"Column 'area', row 2: the number {2**60 + 1} stands where a number that a float holds exactly belongs."),
        ({"rooms": Tensor("rooms", [1.0, 2.5, 3.0])}, "Column 'rooms', row 1: the number 2.5 stands where an integer belongs."),
        ({"rooms": Tensor("rooms", [1.0, 2.0, np.inf])}, "Column 'rooms', row 2: the number inf stands where an integer belongs."),
        ({"rooms": Tensor("rooms", np.array([1, 2, 2**64 - 1], np.uint64))}, f"Column 'rooms', row 2: the number {2**64 - 1} stands where an integer of 64 bits with a sign belongs."),
        ({"balcony": Tensor("balcony", [1, 0, 1])}, "Column 'balcony', row 0: the number 1 (INT64) stands where true or false belongs."),
        ({"größe": Tensor("größe", ["S", "XL", "L"])}, "Column 'größe', row 1: 'XL' stands where one of the categories ('L', 'M', 'S') belongs."),
        ({"since": Tensor("since", ["2020-01-01", "2020-13-01", "2020-01-02"])}, "Column 'since', row 1: '2020-13-01' stands where a datetime in ISO 8601 belongs."),
        ({"since": Tensor("since", ["2020-01-01", "2020-01-01T00:00:00Z", None], "BYTES")}, "Column 'since', row 1: '2020-01-01T00:00:00+00:00' stands where one without an offset, like those before it, belongs."),
        ({"since": Tensor("since", [1, 2, 3])}, "Column 'since', row 0: the number 1 (INT64) stands where a datetime in ISO 8601 belongs."),
        ({"area": None}, "Column 'area' is missing."),
        ({"area": None, "city": None}, "Columns 'area', 'city' are missing."),
        ({"citi": Tensor("citi", ["a", "b", "c"])}, "Column 'citi' is unknown; the model takes area, balcony, city, größe, rooms, since. Did you mean 'city'?"),
        ({"rooms": Tensor("rooms", [1, 2])}, "Column 'city' has 3 rows and column 'rooms' has 2."),
        ({"rooms": Tensor("rooms", [[1, 2], [3, 4], [5, 6]])}, "Input 'rooms' has the shape [3, 2]; a column has the shape [n] or [n, 1]."),
        ({"rooms": Tensor("rooms", ["1", "?", "2"], parameters={"content_type": "json"})}, "Column 'rooms', row 1: '?' stands where the text of a JSON value belongs."),
        ({"rooms": Tensor("rooms", ["1", '"a"', "2"], parameters={"content_type": "pd_json"})}, "Column 'rooms', row 1: 'a' stands where an integer belongs."),
        ({"rooms": Tensor("rooms", [1, 2, 3], parameters={"content_type": "datetime"})}, "Input 'rooms' cannot be read as a part of a table: its content type 'datetime' needs BYTES, not INT64."),
        ({"rooms": Tensor("rooms", ["a", "b", "c"], parameters={"content_type": "image"})}, "Input 'rooms' cannot be read as a part of a table: its content type is 'image', which no column has."),
    ],
)  # fmt: skip
def test_a_column_that_does_not_fit_is_named_with_its_row(changed, sentence):
    with pytest.raises(TableError) as refused:
        HOMES.read(as_columns(**changed))
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    "place, key, value, sentence",
    [
        (1, "rooms", 2.5, "Column 'rooms', row 1: the number 2.5 stands where an integer belongs."),
        (0, "rooms", True, "Column 'rooms', row 0: true stands where an integer belongs."),
        (2, "rooms", 2**63, f"Column 'rooms', row 2: the number {2**63} stands where an integer belongs."),
        (1, "city", 3, "Column 'city', row 1: the number 3 stands where text belongs."),
        (1, "city", {"a": 1}, "Column 'city', row 1: a JSON object stands where text belongs."),
        (0, "area", "wide", "Column 'area', row 0: 'wide' stands where a number belongs."),
        (0, "area", [], "Column 'area', row 0: a JSON array stands where a number belongs."),
        (0, "balcony", 1, "Column 'balcony', row 0: the number 1 stands where true or false belongs."),
        (0, "größe", 1, "Column 'größe', row 0: the number 1 stands where text belongs."),
        (2, "since", "yesterday", "Column 'since', row 2: 'yesterday' stands where a datetime in ISO 8601 belongs."),
        (
            2,
            "zzz",
            1,
            "Column 'zzz', row 2, is unknown; the model takes area, balcony, city, größe, rooms, since.",
        ),
    ],
)
def test_a_row_that_does_not_fit_is_named_with_its_column(place, key, value, sentence):
    rows = [dict(row) for row in ROWS]
    rows[place][key] = value
    with pytest.raises(TableError) as refused:
        HOMES.read(as_rows(rows))
    assert str(refused.value) == sentence


def test_a_row_without_a_column_is_told_that_null_is_missing():
    rows = [ROWS[0], {key: value for key, value in ROWS[1].items() if key != "area"}]
    with pytest.raises(TableError, match=r"Column 'area' is missing in row 1; null says that a value is missing\."):
        HOMES.read(as_rows(rows))


@pytest.mark.parametrize(
    "column, text, sentence",
    [
        ("area", "wide", "Column 'area', row 0: 'wide' stands where a number belongs."),
        ("area", "", "Column 'area', row 0: '' stands where a number belongs."),
        ("area", "1e999", "Column 'area', row 0: '1e999' stands where a number belongs."),
        ("area", "true", "Column 'area', row 0: 'true' stands where a number belongs."),
        ("area", "1_000", "Column 'area', row 0: '1_000' stands where a number belongs."),
        ("rooms", "2.5", "Column 'rooms', row 0: '2.5' stands where an integer belongs."),
        ("balcony", "1", "Column 'balcony', row 0: '1' stands where true or false belongs."),
    ],
)
def test_a_text_among_all_columns_must_say_its_columns_kind(column, text, sentence):
    with pytest.raises(TableError) as refused:
        HOMES.read(as_matrix([ROWS[0] | {column: text}]))
    assert str(refused.value) == sentence


@pytest.mark.parametrize("text", ["nan", "NaN"])
def test_nan_as_text_is_missing_where_numbers_are_and_a_word_where_text_is(text):
    frame = HOMES.read(as_matrix([ROWS[0] | {"city": text, "area": text}]))
    assert frame["city"].tolist() == [text]
    assert frame["area"].isna().tolist() == [True]


def test_an_empty_text_is_no_missing_one():
    assert HOMES.read(as_columns([ROWS[0] | {"city": ""}]))["city"].tolist() == [""]


def test_integers_with_gaps_are_floats_as_pandas_holds_them():
    request = as_columns(rooms=Tensor("rooms", np.array([2.0, np.nan, 1.0], np.float32)))
    pd.testing.assert_series_equal(HOMES.read(request)["rooms"], pd.Series([2, None, 1], name="rooms"))


def test_booleans_with_gaps_are_objects_as_pandas_holds_them():
    request = as_columns(balcony=Tensor("balcony", ["true", "null", "false"], parameters={"content_type": "pd_json"}))
    pd.testing.assert_series_equal(HOMES.read(request)["balcony"], pd.Series([True, None, False], name="balcony"))


@pytest.mark.parametrize(
    "column, values, expected",
    [
        (Column("x", "integer", dtype="Int64"), [1, None], pd.Series([1, None], dtype="Int64")),
        (Column("x", "integer", dtype="int8"), [1, -2], pd.Series([1, -2], dtype="int8")),
        (Column("x", "float", dtype="float32"), [1.5, None], pd.Series([1.5, None], dtype="float32")),
        (Column("x", "boolean", dtype="boolean"), [True, None], pd.Series([True, None], dtype="boolean")),
        (Column("x", "boolean", missing="na"), [True, None], pd.Series([True, None], dtype="boolean")),
        (Column("x", "boolean", missing="nan"), [True, None], pd.Series([True, np.nan], dtype=object)),
        (Column("x", "text", missing="none"), ["a", None], pd.Series(["a", None], dtype=object)),
        (Column("x", "text", missing="na"), ["a", None], pd.Series(["a", None], dtype="string")),
        (Column("x", "text", dtype="object"), ["a", None], pd.Series(["a", None], dtype=object)),
        (Column("x", "category", categories=(3, 1, 2), ordered=True), [1, None], pd.Series(pd.Categorical([1, None], [3, 1, 2], ordered=True))),
        (Column("x", "category", categories=("a",), closed=False), ["a", "b"], pd.Series(pd.Categorical(["a", "b"], ["a", "b"]))),
        (Column("x", "datetime", timezone="Europe/Berlin"), ["2020-10-25T00:30:00Z", "2020-10-25T03:30:00+01:00"], pd.Series(pd.to_datetime(["2020-10-25T00:30:00Z", "2020-10-25T02:30:00Z"], utc=True)).dt.tz_convert("Europe/Berlin")),
        (Column("x", "datetime", dtype="datetime64[ns]"), ["2020-01-01"], pd.Series(["2020-01-01"], dtype="datetime64[ns]")),
        (Column("x", "any"), [1, None], pd.Series([1.0, None])),
        (Column("x", "any"), [2**60, 1], pd.Series([2**60, 1])),
        (Column("x", "any"), [True, None], pd.Series([True, None])),
        (Column("x", "any"), [{"a": 1}, "b"], pd.Series([{"a": 1}, "b"])),
        (Column("x", "number"), [True, 2], pd.Series([1.0, 2.0])),
        (Column("x", "label"), ["3", 3, True, None], pd.Series(["3", 3, True, None], dtype=object)),
    ],
)  # fmt: skip
def test_a_column_has_the_dtype_of_training(column, values, expected):
    frame = Table([column]).read(as_rows([{"x": value} for value in values]))
    pd.testing.assert_series_equal(frame["x"], expected, check_names=False, check_index_type=False)


@pytest.mark.parametrize(
    "column, values, sentence",
    [
        (Column("x", "integer", dtype="int8"), [1, 200], "Column 'x', row 1: the number 200 stands where a value of int8 belongs."),
        (Column("x", "integer", dtype="int64"), [1, None], "Column 'x', row 1: a missing value stands where a value of int64 belongs."),
        (Column("x", "integer", dtype="UInt8"), [1, -1], "Column 'x', row 1: the number -1 stands where a value of UInt8 belongs."),
        (Column("x", "float", dtype="float32"), [1, 1e300], "Column 'x', row 1: the number 1e+300 stands where a value of float32 belongs."),
        (Column("x", "datetime", timezone="UTC"), ["2020-01-01"], "Column 'x', row 0: '2020-01-01T00:00:00' stands where a datetime with an offset belongs."),
        (Column("x", "text", nullable=False), ["a", None], "Column 'x', row 1: a missing value stands where text belongs."),
        (Column("x", "number", nullable=False), [1, None], "Column 'x', row 1: a missing value stands where a number belongs."),
        (Column("x", "label"), ["a", 1.0], "Column 'x', row 1: the number 1.0 stands where text or an integer belongs."),
        (Column("x", "label"), [1, 2**63], "Column 'x', row 1: the number 9223372036854775808 stands where text or an integer belongs."),
        (Column("x", "label", nullable=False), [1, None], "Column 'x', row 1: a missing value stands where text or an integer belongs."),
        (Column("x", "category", categories=(1, "a")), [[1]], "Column 'x', row 0: a JSON array stands where one of the categories ('1', 'a') belongs."),
    ],
)  # fmt: skip
def test_a_value_that_the_dtype_of_training_cannot_hold_is_refused(column, values, sentence):
    with pytest.raises(TableError) as refused:
        Table([column]).read(as_rows([{"x": value} for value in values]))
    assert str(refused.value) == sentence


@pytest.mark.parametrize("zone", ["+01:00", "+02:00"])
def test_the_dtype_of_datetimes_does_not_depend_on_the_season(zone):
    table = Table([Column("x", "datetime")])
    [dtype] = table.read(as_rows([{"x": f"2020-01-01T00:00:00{zone}"}])).dtypes
    [mixed] = table.read(as_rows([{"x": "2020-01-01T00:00:00+01:00"}, {"x": "2020-07-01T00:00:00+02:00"}])).dtypes
    assert dtype == mixed == pd.to_datetime(["2020-01-01"], utc=True).as_unit(mixed.unit).dtype


def test_a_datetime_that_is_missing_is_null_in_its_content_type():
    tensor = Tensor("x", [b"2020-01-01", b"null"], parameters={"content_type": "datetime"})
    frame = Table([Column("x", "datetime")]).read(InferenceRequest([tensor]))
    assert frame["x"].isna().tolist() == [False, True]


def test_a_datetime_out_of_the_calendar_is_refused():
    table = Table([Column("x", "datetime")])
    with pytest.raises(
        TableError, match="Column 'x', row 0: '0001-01-01T00:00:00\\+01:00' stands where a datetime within"
    ):
        table.read(as_rows([{"x": "0001-01-01T00:00:00+01:00"}]))


def test_a_text_among_others_is_ambiguous_where_nobody_knows_the_columns_kind():
    table = Table([Column("a", "text"), Column("b", "any")])
    with pytest.raises(TableError, match="Column 'b' may hold values of any kind"):
        table.read(InferenceRequest([Tensor("x", [["a", "1"]])]))


@pytest.mark.parametrize("values", [[3, 4], [True, False], ["3", "ü"]], ids=["integers", "booleans", "texts"])
def test_a_label_comes_as_the_client_sent_it(values):
    table = Table([Column("a", "number"), Column("x", "label")])
    for sent in (
        Tensor("x", values),
        Tensor("x", [json.dumps(each) for each in values], parameters={"content_type": "json"}),
    ):
        assert table.read(InferenceRequest([Tensor("a", [0.5, 1.5]), sent]))["x"].tolist() == values


def test_a_label_is_no_float():
    with pytest.raises(TableError, match=r"Column 'x', row 0: the number 3.0 \(FP64\) stands where text or an integer"):
        Table([Column("x", "label")]).read(InferenceRequest([Tensor("x", [3.0])]))


def test_a_label_is_read_from_texts_beside_other_columns_unless_it_may_be_a_boolean():
    table = Table([Column("a", "number"), Column("x", "label")])
    assert table.read(InferenceRequest([Tensor("t", [["0.5", "3"], ["1", "ü"]])]))["x"].tolist() == ["3", "ü"]
    with pytest.raises(TableError, match="Column 'x' may hold values of any kind"):
        table.read(InferenceRequest([Tensor("t", [["0.5", "true"]])]))


@pytest.mark.parametrize("name", [column.name for column in HOMES.columns if column.name != "city"])
def test_a_column_of_nulls_is_missing_whatever_its_kind(name):
    frame = HOMES.read(as_columns(**{name: Tensor(name, [None, None, None], "BYTES")}))
    assert frame[name].isna().all()


@pytest.mark.parametrize("rows", [[], [{"x": None}]], ids=["no rows", "all missing"])
def test_datetimes_have_their_timezone_where_there_is_none_to_show_it(rows):
    dated = [*rows, {"x": "2020-01-01T00:00:00Z"}]
    table = Table([Column("x", "datetime", timezone="Europe/Berlin")])
    [expected] = table.read(as_rows(dated)).dtypes
    columns = InferenceRequest([Tensor("x", [row["x"] for row in rows], "BYTES")])
    for request in (as_rows(rows), columns):
        [dtype] = table.read(request).dtypes
        assert dtype == expected


@pytest.mark.parametrize("other", [1, 1.5, None])
def test_a_number_that_no_float_holds_is_refused_where_any_kind_is_taken(other):
    with pytest.raises(
        TableError, match=r"Column 'x', row 1: the number 10*… stands where a number that a float holds"
    ):
        Table([Column("x", "any")]).read(as_rows([{"x": other}, {"x": 10**400}]))


def test_a_key_that_stands_twice_in_a_row_is_refused():
    elements = [b'{"a": 1, "b": "x: y"}', b'{"a": 1, "b": "x", "a": 2}']
    request = InferenceRequest([Tensor("rows", elements, "BYTES", parameters={"content_type": "json"})])
    with pytest.raises(TableError, match="row 1: a JSON object has the key 'a' twice"):
        Table([Column("a", "number"), Column("b", "text")]).read(request)


def test_colons_in_texts_are_no_keys():
    rows = [{"a": 10**18, "b": "x:y"}, {"a": 2, "b": ':"a":'}]
    frame = Table([Column("a", "number"), Column("b", "text")]).read(as_rows(rows))
    assert frame["b"].tolist() == ["x:y", ':"a":']
    assert frame["a"].tolist() == [10**18, 2]


def test_an_array_of_objects_stays_one_where_all_are_numbers():
    table = Table([Column("a", "number", dtype="object"), Column("b", "number")], frame=False, named=False)
    array = table.read(InferenceRequest([Tensor("x", [[1, 2], [3, 4]])]))
    assert (array.dtype, array.tolist()) == (object, [[1, 2], [3, 4]])


def test_the_content_type_of_a_request_counts_for_bytes_only():
    tensors = [Tensor("a", [1.5, 2.5]), Tensor("b", ['"x"', "null"])]
    frame = Table([Column("a", "number"), Column("b", "text")]).read(
        InferenceRequest(tensors, parameters={"content_type": "json"})
    )
    assert frame["a"].tolist() == [1.5, 2.5]
    assert frame["b"].isna().tolist() == [False, True]


def test_booleans_are_ones_and_zeros_in_a_tensor_of_numbers_for_all_columns():
    table = Table([Column("a", "number"), Column("b", "boolean")])
    frame = table.read(InferenceRequest([Tensor("x", np.array([[1.5, 1], [2.5, 0], [3.5, np.nan]]))]))
    pd.testing.assert_frame_equal(frame, pd.DataFrame({"a": [1.5, 2.5, 3.5], "b": [True, False, None]}))
    with pytest.raises(TableError, match=r"row 1: the number 2\.0 stands where true or false, as 1 or 0, belongs"):
        table.read(InferenceRequest([Tensor("x", np.array([[1.5, 1], [2.5, 2]]))]))


def test_a_quoted_value_has_80_printable_characters_at_most():
    with pytest.raises(TableError) as refused:
        HOMES.read(as_rows([ROWS[0] | {"area": "\x1b[31m" + "x" * 10_000}]))
    assert len(str(refused.value)) < 160
    assert str(refused.value).isprintable()


def test_an_optional_column_may_be_left_out_of_the_table():
    table = Table([Column("a", "number"), Column("b", "any", optional=True)])
    pd.testing.assert_frame_equal(table.read(as_rows([{"a": 1}])), pd.DataFrame({"a": [1]}))
    pd.testing.assert_frame_equal(table.read(as_rows([{"a": 1, "b": 2}])), pd.DataFrame({"a": [1], "b": [2]}))
    assert table.specs()[1] == Spec(None, (-1,), name="b", parameters={"optional": True})


def test_numbers_for_an_array_are_passed_on_without_a_copy():
    table = Table([Column("0", "number"), Column("1", "number")], frame=False, named=False)
    numbers = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert table.read(InferenceRequest([Tensor("x", numbers)])) is numbers


def test_a_table_without_names_refuses_columns_by_name():
    table = Table([Column("0", "number"), Column("1", "number")], frame=False, named=False)
    with pytest.raises(
        TableError,
        match=r"columns have no names, and the request brings 'a', 'b'; send one input of the shape \[n, 2\]",
    ):
        table.read(InferenceRequest([Tensor("a", [1.0]), Tensor("b", [1.0])]))


def test_words_and_numbers_for_an_array_are_objects():
    table = Table([Column("0", "text", missing="nan"), Column("1", "number")], frame=False, named=False)
    rows = table.read(as_rows([["a", 1.5], [None, None]]))
    assert rows.dtype == object
    assert rows[0].tolist() == ["a", 1.5]
    assert all(value != value for value in rows[1])


@pytest.mark.parametrize("shape", [[2], [2, 1]])
def test_one_text_for_each_sample_is_a_list_of_texts(shape):
    table = Table([Column("input", "text", nullable=False)], frame=False, named=False, flat=True)
    assert table.read(InferenceRequest([Tensor("any", ["a", "b"], "BYTES", shape)])).tolist() == ["a", "b"]


def test_numbers_alone_are_not_taken_as_texts():
    table = Table([Column("a", "number"), Column("b", "number")])
    with pytest.raises(TableError, match=r"Column 'a', row 0: '1' \(BYTES\) stands where a number belongs"):
        table.read(InferenceRequest([Tensor("x", [["1", "2"]])]))


@pytest.mark.parametrize(
    "shape, sentence",
    [([2, 3], "the shape must be [n, 2]"), ([4], "the shape must be [n, 2]"), ([], "the shape must be [n, 2]")],
)
def test_a_table_of_another_width_is_refused(shape, sentence):
    table = Table([Column("a", "number"), Column("b", "number")])
    with pytest.raises(TableError) as refused:
        table.read(InferenceRequest([Tensor("x", np.ones(shape))]))
    assert sentence in str(refused.value)


def test_content_types_of_the_settings_count():
    inputs = (Spec("BYTES", (-1,), "a", {"content_type": "json"}),)
    table = Table([Column("a", "number")], settings=ModelSettings("m", inputs=inputs))
    assert table.read(InferenceRequest([Tensor("a", ["1.5"])]))["a"].tolist() == [1.5]
    whole = ModelSettings("m", parameters=ModelParameters(content_type="json"))
    table = Table([Column("a", "number"), Column("b", "number")], settings=whole)
    assert table.read(InferenceRequest([Tensor("x", ['{"a": 1, "b": 2}'])])).to_numpy().tolist() == [[1, 2]]


def test_metadata_has_an_input_for_each_column():
    assert [(spec.name, spec.datatype, spec.shape) for spec in HOMES.specs()] == [
        ("city", "BYTES", (-1,)),
        ("area", "FP64", (-1,)),
        ("rooms", "INT64", (-1,)),
        ("balcony", "BOOL", (-1,)),
        ("größe", "BYTES", (-1,)),
        ("since", "BYTES", (-1,)),
    ]
    assert HOMES.specs()[5].parameters == {"content_type": "datetime"}


SIGNALLING = np.array([0x7FA00001, 0x3F800000], np.uint32).view(np.float32)  # a NaN that numpy complains of, and 1


@pytest.mark.parametrize(
    "column, values",
    [
        (Column("x", "float", dtype="float32"), np.array([1e-300, 1.0])),
        (Column("x", "float", dtype="Float32"), np.array([1e-300, 1.0])),
        (Column("x", "number", dtype="float32"), np.array([1e-300, 1.0])),
        (Column("x", "float"), SIGNALLING),
        (Column("x", "float", dtype="float64"), SIGNALLING),
    ],
)
def test_what_a_model_has_set_in_numpy_changes_no_table(column, values):
    table, request = Table([column], frame=True), InferenceRequest([Tensor("x", values)])
    expected = table.read(request)

    with np.errstate(all="raise"):
        pd.testing.assert_frame_equal(table.read(request), expected)


def as_texts(name, elements, **parameters):
    return Tensor(name, np.array(elements, dtype=object), "BYTES", parameters=parameters)


@pytest.mark.parametrize(
    "parameters", [{}, {"content_type": "base64"}], ids=["as the metadata says", "as the client says"]
)
def test_bytes_travel_as_base64(parameters):
    table = Table([Column("photo", "bytes"), Column("rooms", "integer")])
    photo = as_texts("photo", [b"/wA=", b"", None], **parameters)

    frame = table.read(InferenceRequest([photo, Tensor("rooms", np.array([1, 2, 3]))]))

    assert frame["photo"].tolist() == [b"\xff\x00", b"", None]
    rows = [{"photo": "/wA=", "rooms": 1}, {"photo": "", "rooms": 2}, {"photo": None, "rooms": 3}]
    pd.testing.assert_frame_equal(table.read(as_rows(rows)), frame)
    matrix = InferenceRequest([as_texts("x", [[b"/wA=", b"1"], [b"", b"2"], [None, b"3"]])])
    pd.testing.assert_frame_equal(table.read(matrix), frame)


@pytest.mark.parametrize(
    "photo, sentence",
    [
        (as_texts("photo", [b"AA==", b"a b"]), "Column 'photo', row 1: 'a b' stands where base64 belongs."),
        (
            as_texts("photo", [b'"AA=="', b"7"], content_type="json"),
            "Column 'photo', row 1: the number 7 stands where base64",
        ),
        (Tensor("photo", np.array([1, 2])), "Column 'photo', row 0: the number 1 (INT64) stands where base64 belongs."),
    ],
    ids=["no base64", "a number of JSON", "numbers"],
)
def test_what_is_no_base64_is_named_with_its_row(photo, sentence):
    table = Table([Column("photo", "bytes"), Column("rooms", "integer")])
    with pytest.raises(TableError) as raised:
        table.read(InferenceRequest([photo, Tensor("rooms", np.array([1, 2]))]))
    assert str(raised.value).startswith(sentence)


CELLS = [{"a": [1, None]}, [0.5], "text", 7, None]


@pytest.mark.parametrize("parameters", [{}, {"content_type": "json"}, {"content_type": "pd_json"}], ids=str)
@pytest.mark.parametrize("columns", [["tags"], ["tags", "city"]], ids=["alone", "beside another"])
def test_cells_of_json_are_its_values(columns, parameters):
    table = Table([Column(name, "json", optional=name == "city") for name in columns])
    request = InferenceRequest([as_texts("tags", [json.dumps(value).encode() for value in CELLS], **parameters)])

    assert table.read(request)["tags"].tolist() == CELLS
    assert table.read(as_rows([{"tags": value} for value in CELLS]))["tags"].tolist() == CELLS


def test_a_cell_that_is_no_json_is_named_with_its_row():
    table = Table([Column("tags", "json")])
    with pytest.raises(TableError, match=r"^Column 'tags', row 1: '\{' stands where the text"):
        table.read(InferenceRequest([as_texts("tags", [b"1", b"{"])]))


def test_json_beside_other_texts_is_ambiguous():
    table = Table([Column("tags", "json"), Column("city", "text")])
    with pytest.raises(TableError, match="send a tensor for each column, or JSON values"):
        table.read(InferenceRequest([as_texts("x", [[b"[]", b"Ulm"]])]))


def test_numbers_and_plain_texts_are_values_of_json_too():
    table = Table([Column("tags", "json"), Column("word", "json")])
    word = as_texts("word", [b"a", b"[]"], content_type="str")
    frame = table.read(InferenceRequest([Tensor("tags", np.array([1.5, 2.0])), word]))
    assert frame.to_dict("list") == {"tags": [1.5, 2.0], "word": ["a", "[]"]}
