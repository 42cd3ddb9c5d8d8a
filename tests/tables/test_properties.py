"""Whatever a table holds, every form says the same; whatever a client sends, it is read or refused."""

import json
import math

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from srv.codecs import request_codec
from srv.errors import InvalidInput
from srv.messages import InferenceRequest
from srv.tables import Column, Table
from srv.tensors import DTYPES, Tensor

TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
VALUES = {
    "number": st.floats(allow_nan=False, allow_infinity=False),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "integer": st.integers(-(2**53), 2**53),
    "boolean": st.booleans(),
    "text": TEXTS,
    "category": st.sampled_from(["S", "M", "L"]),
    "datetime": st.datetimes(pd.Timestamp("1700-01-01"), pd.Timestamp("2200-01-01")).map(
        lambda moment: moment.isoformat()
    ),
}
DATATYPES = {"number": "FP64", "float": "FP64", "integer": "INT64", "boolean": "BOOL"}


@st.composite
def tables(draw):
    """A table's columns, and rows with gaps."""
    names = draw(
        st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=6), min_size=2, max_size=4, unique=True)
    )
    kinds = [draw(st.sampled_from(sorted(VALUES))) for _ in names]
    columns = [
        Column(name, kind, categories=("S", "M", "L") if kind == "category" else None)
        for name, kind in zip(names, kinds, strict=True)
    ]
    rows = draw(st.lists(st.tuples(*(st.none() | VALUES[kind] for kind in kinds)), min_size=1, max_size=4))
    return columns, [list(row) for row in rows]


def as_column(column, values):
    datatype = DATATYPES.get(column.kind, "BYTES")
    if datatype == "FP64" or (datatype == "INT64" and None in values):
        return Tensor(column.name, np.array([math.nan if value is None else value for value in values], float))
    if datatype == "BOOL" and None in values:
        return Tensor(column.name, list(map(json.dumps, values)), "BYTES", parameters={"content_type": "json"})
    return Tensor(column.name, values, datatype)


def as_text(value):
    return value if value is None or isinstance(value, str) else json.dumps(value)


def forms(columns, rows):
    as_json = {"content_type": "json"}
    yield InferenceRequest([as_column(column, [row[i] for row in rows]) for i, column in enumerate(columns)][::-1])
    yield InferenceRequest([Tensor("x", [json.dumps(row) for row in rows], "BYTES", parameters=as_json)])
    named = [json.dumps({column.name: value for column, value in zip(columns, row, strict=True)}) for row in rows]
    yield InferenceRequest([Tensor("x", named, "BYTES", parameters=as_json)])
    yield InferenceRequest([Tensor("x", [list(map(json.dumps, row)) for row in rows], "BYTES", parameters=as_json)])
    if not all(column.kind in DATATYPES for column in columns):
        yield InferenceRequest([Tensor("x", [list(map(as_text, row)) for row in rows], "BYTES")])


@settings(max_examples=60, deadline=None)
@given(tables())
def test_all_forms_of_a_table_give_the_same_frame(given_table):
    columns, rows = given_table
    table = Table(columns)

    first, *others = [table.read(request) for request in forms(columns, rows)]

    assert list(first.columns) == [column.name for column in columns]
    assert first.isna().to_numpy().tolist() == [[value is None for value in row] for row in rows]
    for other in others:
        pd.testing.assert_frame_equal(first, other)


@settings(max_examples=40, deadline=None)
@given(tables())
def test_what_the_codec_pd_sends_of_a_frame_is_read_as_that_frame(given_table):
    columns, rows = given_table
    table = Table(columns)
    rows = [
        [row[i] if row[i] is not None or c.kind != "datetime" else "2020-01-01" for i, c in enumerate(columns)]
        for row in rows
    ]
    frame = table.read(next(forms(columns, rows)))

    again = table.read(request_codec("pd").encode_request(frame))

    pd.testing.assert_frame_equal(frame, again)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c", "ü"]), inner, max_size=4)
    ),
    max_leaves=8,
)
CONTENT_TYPES = st.sampled_from([None, "json", "pd_json", "str", "np", "datetime", "base64", "pd", "image", ""])


@st.composite
def tensors(draw, name):
    datatype = draw(st.sampled_from(sorted(DTYPES)))
    shape = tuple(draw(st.lists(st.integers(0, 3), max_size=3)))
    count = math.prod(shape)
    if datatype == "BYTES":
        elements = draw(
            st.lists(
                st.none() | st.binary(max_size=6) | JSON.map(lambda v: json.dumps(v).encode()),
                min_size=count,
                max_size=count,
            )
        )
        array = np.empty(count, dtype=object)
        array[:] = elements
    else:
        array = np.frombuffer(
            draw(st.binary(min_size=16 * count, max_size=16 * count)),
            dtype=DTYPES[datatype] if datatype != "BOOL" else np.uint8,
        )[:count]
        array = array.astype(DTYPES[datatype]) if datatype == "BOOL" else array
    content_type = draw(CONTENT_TYPES)
    parameters = {} if content_type is None else {"content_type": content_type}
    missing = datatype == "BYTES" and None in array.tolist()
    return Tensor.trusted(draw(name), array.reshape(shape), datatype, parameters, missing=missing)


SOME_TABLES = st.sampled_from(
    [
        Table([Column("a", "number"), Column("b", "text"), Column("ü", "any")]),
        Table([Column("a", "integer", dtype="Int8"), Column("b", "datetime", timezone="Europe/Berlin", optional=True)]),
        Table([Column("a", "category", categories=(1, 2)), Column("b", "boolean"), Column("c", "float", dtype="float32")]),
        Table([Column("a", "datetime")]),
        Table([Column("a", "label"), Column("b", "number")]),
        Table([Column("0", "number"), Column("1", "any")], frame=False, named=False),
        Table([Column("input", "text", nullable=False)], frame=False, named=False, flat=True),
    ]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(SOME_TABLES, st.lists(tensors(st.sampled_from(["a", "b", "c", "ü"])), max_size=3), CONTENT_TYPES)
def test_whatever_a_client_sends_is_read_or_refused_with_a_sentence(table, inputs, content_type):
    request = InferenceRequest(inputs, parameters={} if content_type is None else {"content_type": content_type})
    sentence = "read"
    try:
        table.read(request)
    except InvalidInput as refused:
        sentence = str(refused)
    assert 0 < len(sentence) < 700
