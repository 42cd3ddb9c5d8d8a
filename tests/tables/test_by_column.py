"""Tables by column: an array for each, for models that take their columns as inputs of their own."""

import json

import numpy as np
import pytest

from srv.messages import InferenceRequest
from srv.tables import Column, NoRows, Table, TableError
from srv.tensors import Tensor

COLUMNS = [
    Column("area", "float", dtype="float32"),
    Column("rooms", "integer", dtype="int32", nullable=False),
    Column("city", "text", nullable=False),
]
TABLE = Table(COLUMNS, frame=False, by_column=True, empty=False)
AREAS, ROOMS, CITIES = [50.5, None], [2, 3], ["Ulm", "Bonn"]
FLOATS = [np.nan if each is None else each for each in AREAS]


def by_tensor(rooms=ROOMS, dtype=np.int64):
    return InferenceRequest(
        [
            Tensor("city", np.array([[each] for each in CITIES], dtype=object)),
            Tensor("rooms", np.array(rooms, dtype)),
            Tensor("area", np.array(FLOATS)),
        ]
    )


def as_objects():
    rows = [dict(zip(("area", "rooms", "city"), row, strict=True)) for row in zip(AREAS, ROOMS, CITIES, strict=True)]
    return InferenceRequest([Tensor("x", list(map(json.dumps, rows)), "BYTES", parameters={"content_type": "json"})])


@pytest.mark.parametrize("form", [by_tensor, as_objects])
def test_each_column_comes_in_its_own_dtype(form):
    values = TABLE.read_columns(form())

    assert {name: array.dtype for name, array in values.items()} == {
        "area": np.float32,
        "rooms": np.int32,
        "city": np.dtype(object),
    }
    assert np.array_equal(values["area"], np.array(FLOATS, np.float32), equal_nan=True)
    assert (values["rooms"].tolist(), values["city"].tolist()) == (ROOMS, CITIES)


def test_one_tensor_of_numbers_is_taken_apart():
    table = Table([Column("a", "float", dtype="float32"), Column("b", "number")], frame=False, by_column=True)
    values = table.read_columns(InferenceRequest([Tensor("any", np.array([[1, 2], [3, 4.5]]))]))

    assert (values["a"].dtype, values["a"].tolist(), values["b"].tolist()) == (np.float32, [1, 3], [2, 4.5])


@pytest.mark.parametrize(
    "request_, said",
    [
        (by_tensor([2, 2**31]), r"^Column 'rooms', row 1: the number 2147483648 stands where a value of int32 belongs"),
        (
            by_tensor([2, np.nan], np.float64),
            r"^Column 'rooms', row 1: a missing value stands where an integer belongs",
        ),
        (by_tensor([2, 2.5], np.float64), r"^Column 'rooms', row 1: the number 2.5 stands where an integer belongs"),
    ],
    ids=["out of range", "missing", "fraction"],
)
def test_what_the_dtype_cannot_hold_is_named_by_column_and_row(request_, said):
    with pytest.raises(TableError, match=said):
        TABLE.read_columns(request_)


def test_no_rows_are_refused_where_the_table_says_so():
    with pytest.raises(NoRows):
        TABLE.read_columns(
            InferenceRequest(
                [
                    Tensor("city", np.array([], dtype=object)),
                    Tensor("rooms", np.array([], np.int64)),
                    Tensor("area", np.array([])),
                ]
            )
        )
