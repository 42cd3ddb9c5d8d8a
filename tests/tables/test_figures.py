"""Tables of figures: arrays of numbers for models that know booleans and categories as numbers alone."""

import json

import numpy as np
import pytest

from srv.codecs import request_codec
from srv.errors import SrvError
from srv.messages import InferenceRequest
from srv.tables import Column, Table, TableError, columns_of_schema, described_columns
from srv.tensors import Tensor

COLUMNS = [
    Column("area", "number"),
    Column("city", "category", categories=("Bonn", "Köln", "Ulm")),
    Column("size", "category", categories=(3, 7)),
    Column("flag", "boolean"),
]
TABLE = Table(COLUMNS, frame=False, figures=True, empty=False)
ROWS = [[50.5, "Ulm", 3, True], [None, None, 7, False], [7, "Bonn", None, None]]
EXPECTED = [[50.5, 2, 0, 1], [np.nan, np.nan, 1, 0], [7, 0, np.nan, np.nan]]
AS_JSON = {"content_type": "json"}


def objects(rows):
    elements = [json.dumps(dict(zip(("area", "city", "size", "flag"), row, strict=True))) for row in rows]
    return InferenceRequest([Tensor("rows", elements, "BYTES", parameters=AS_JSON)])


def columns(rows):
    area, city, size, flag = zip(*rows, strict=True)
    return InferenceRequest(
        [
            Tensor("flag", list(map(json.dumps, flag)), "BYTES", parameters=AS_JSON),
            Tensor("size", np.array([np.nan if each is None else each for each in size])),
            Tensor("city", list(city), "BYTES"),
            Tensor("area", np.array([np.nan if each is None else each for each in area])),
        ]
    )


@pytest.mark.parametrize("form", [objects, columns])
def test_booleans_and_categories_come_as_numbers_and_nan_is_missing(form):
    array = TABLE.read(form(ROWS))

    assert array.dtype == np.float64
    assert np.array_equal(array, EXPECTED, equal_nan=True)


def test_one_tensor_of_texts_is_read_by_kinds():
    texts = [
        [None if each is None else each if isinstance(each, str) else json.dumps(each) for each in row] for row in ROWS
    ]
    assert np.array_equal(TABLE.read(InferenceRequest([Tensor("x", texts, "BYTES")])), EXPECTED, equal_nan=True)


def test_an_unknown_category_is_named_by_column_and_row():
    with pytest.raises(TableError, match=r"^Column 'city', row 1: 'Kiel' stands where one of the categories"):
        TABLE.read(objects([ROWS[0], [1, "Kiel", 3, True]]))
    with pytest.raises(TableError, match=r"^Column 'size', row 0: the number 5 stands where one of the categories"):
        TABLE.read(objects([[1, "Ulm", 5, True]]))


def test_numbers_alone_are_passed_on_without_a_copy():
    rows = np.arange(6.0).reshape(3, 2)
    table = Table([Column("a", "number"), Column("b", "number")], frame=False, figures=True)
    assert np.shares_memory(table.read(InferenceRequest([Tensor("x", rows)])), rows)


@pytest.mark.parametrize("data", [np.zeros((0, 2)), np.zeros((0, 2), np.int64)])
def test_a_request_without_rows_is_refused(data):
    numbers = Table([Column("a", "number"), Column("b", "number")], frame=False, empty=False)
    with pytest.raises(TableError, match="The request has no rows"):
        numbers.read(InferenceRequest([Tensor("x", data)]))


def test_a_frame_without_rows_is_refused():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": np.zeros(0), "b": np.zeros(0)})
    table = Table([Column("a", "number"), Column("b", "number")], empty=False)
    with pytest.raises(TableError, match="The request has no rows"):
        TABLE.read(objects([]))
    with pytest.raises(TableError, match="The request has no rows"):
        table.read(request_codec("pd").encode_request(frame))


@pytest.mark.parametrize("column", [Column("note", "text"), Column("c", "category", categories=("a",), closed=False)])
def test_a_column_that_is_no_figure_is_refused_when_the_table_is_made(column):
    with pytest.raises(SrvError, match=rf"Column '{column.name}' of the settings is of the kind"):
        Table([column], frame=False, figures=True)


def test_a_table_of_figures_is_no_frame():
    with pytest.raises(ValueError, match="frame=False"):
        Table([Column("a", "number")], figures=True)


def test_settings_complete_the_columns_of_a_model():
    own = [Column("area", "number"), Column("city", "integer")]
    said = columns_of_schema({"city": {"category": ["Bonn", "Ulm"]}, "area": {"nullable": False}})

    area, city = described_columns(own, said, named=True)

    assert (area.kind, area.nullable) == ("number", False)
    assert (city.kind, city.categories) == ("category", ("Bonn", "Ulm"))
    assert described_columns(own, {}, named=True) == own


def test_settings_name_all_columns_of_a_model_that_names_none():
    own = [Column("0", "number"), Column("1", "number")]
    assert [each.name for each in described_columns(own, columns_of_schema({"a": "any", "b": "any"}), named=False)] == [
        "a",
        "b",
    ]
    with pytest.raises(SrvError, match=r"names 1 columns, and the model was trained on an array with 2\. Name all"):
        described_columns(own, columns_of_schema({"a": "any"}), named=False)


def test_settings_of_a_column_that_the_model_lacks_are_refused():
    with pytest.raises(SrvError, match=r"names 'ctiy', and the model was trained on area, city\. Did you mean 'city'"):
        described_columns([Column("area"), Column("city")], columns_of_schema({"ctiy": "text"}), named=True)


@pytest.mark.parametrize("content_type", ["pd_json", "json"])
def test_missing_booleans_come_as_the_refusal_of_null_says(content_type):
    table = Table([Column("flag", "boolean")], frame=False, figures=True)
    tensor = Tensor("flag", ["true", "false", "null"], parameters={"content_type": content_type})

    assert np.array_equal(table.read(InferenceRequest([tensor])), [[1.0], [0.0], [np.nan]], equal_nan=True)
