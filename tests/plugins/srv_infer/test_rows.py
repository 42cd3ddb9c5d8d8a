"""Columns of a file become the inputs that a model declares, and cells their values."""

import math

import pytest

from srv import Spec
from srv.errors import InvalidInput, SrvError
from srv.messages import ModelMetadata
from srv_infer.rows import layout_of, reader_of


def model(*inputs):
    return ModelMetadata("m", ("1",), "", tuple(inputs), (), {})


CITY, ROOMS = Spec("BYTES", (-1,), "city"), Spec("INT64", (-1, 1), "rooms")
MATRIX = Spec("FP64", (-1, 2), "input")


def test_columns_are_inputs_by_name_in_any_order_and_others_are_left_out():
    layout = layout_of(["rooms", "note", "city"], model(CITY, ROOMS), {})
    assert layout.ignored == ["note"]
    assert layout.values([[3, "x", "Bonn"], [4, "y", "Köln"]]) == {"rooms": [3, 4], "city": ["Bonn", "Köln"]}


def test_a_column_of_another_name_is_an_input_where_the_user_says_so():
    assert layout_of(["town", "rooms"], model(CITY, ROOMS), {"town": "city"}).ignored == []


def test_all_columns_are_the_rows_of_an_only_input_of_that_width():
    layout = layout_of(["a", "b"], model(MATRIX), {})
    assert layout.values([[1.0, 2.0]]) == {"input": [[1.0, 2.0]]}


@pytest.mark.parametrize(
    "columns, inputs",
    [(["city"], (CITY, ROOMS)), (["a", "b", "c"], (MATRIX,)), (["a", "b"], (CITY,)), ([], (CITY,))],
)
def test_columns_that_are_not_enough_are_an_error_that_names_both(columns, inputs):
    with pytest.raises(SrvError, match=r"The model takes .* and the file has"):
        layout_of(columns, model(*inputs), {})


def test_a_model_that_declares_no_inputs_needs_json_lines():
    with pytest.raises(SrvError, match="does not say which inputs it takes"):
        layout_of(["a"], model(), {})


@pytest.mark.parametrize(
    "datatype, cell, value",
    [
        ("INT64", " 7 ", 7),
        ("INT64", "5.0", 5),
        ("INT64", "-9223372036854775808", -(2**63)),
        ("FP32", "0.5", 0.5),
        ("BOOL", "True", True),
        ("BOOL", "0", False),
        ("BYTES", " a ", " a "),
    ],
)
def test_cells_become_values_of_the_input_s_datatype(datatype, cell, value):
    assert reader_of("a", Spec(datatype, (-1,), "a"))(cell) == value


def test_an_empty_cell_is_nan_among_floats():
    assert math.isnan(reader_of("a", Spec("FP64", (-1,), "a"))(""))


@pytest.mark.parametrize(
    "datatype, cell",
    [
        ("INT64", "7.5"),
        ("INT64", "1_000"),
        ("FP32", "1_0"),
        ("INT64", "nan"),
        ("INT64", "1e30"),
        ("INT64", ""),
        ("FP32", "x"),
        ("BOOL", "maybe"),
    ],
)
def test_a_cell_that_is_no_value_is_an_error_that_names_the_column(datatype, cell):
    with pytest.raises(InvalidInput, match=f"Column 'a': '{cell}' is no {datatype}"):
        reader_of("a", Spec(datatype, (-1,), "a"))(cell)
