"""Files of rows as they come: quotes, marks, lacking cells, nulls, and what is no row at all."""

import csv

import numpy as np
import pytest

from srv import Spec
from srv.errors import SrvError
from srv.messages import ModelMetadata
from srv_infer.sources import opened

TEXT = (Spec("BYTES", (-1,), "text"),)
FLOAT = (Spec("FP64", (-1,), "x"),)
HOUSE = (Spec("BYTES", (-1,), "city"), Spec("INT64", (-1,), "rooms"))


@pytest.fixture(autouse=True)
def limit():
    before = csv.field_size_limit()
    yield
    csv.field_size_limit(before)


@pytest.fixture
def read(tmp_path):
    """Read a file of a model's inputs, whole: values by input, and why rows failed, by their numbers."""

    def read(data, inputs, form="csv", *, renamed=None, skip=0, **options):
        path = tmp_path / "in"
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        source = opened(str(path), form, ModelMetadata("m", ("1",), "", inputs, (), {}), renamed or {}, **options)
        try:
            values, failed = {spec.name: [] for spec in inputs}, {}
            for batch in source.batches(2, skip=skip):
                for numbers, given in batch.parts():
                    for name, column in given.items():
                        assert len(column) == len(numbers)
                        values[name] += list(column)
                failed.update(batch.failed)
        finally:
            source.close()
        return (values if len(inputs) > 1 else values[inputs[0].name]), failed, source.ignored

    return read


def test_cells_in_quotes_hold_commas_quotes_and_lines_and_a_mark_before_the_head_is_none_of_it(read):
    data = b'\xef\xbb\xbftext\r\n"a, b"\r\n"say ""c"""\r\n"two\r\nlines"\r\n""\r\n'
    assert read(data, TEXT) == (["a, b", 'say "c"', "two\r\nlines", ""], {}, [])


def test_a_row_that_is_none_fails_alone_and_keeps_its_number(read):
    data = b'city,rooms\na,1\nb\n\xff,3\nd,4,4\n"e"e,5\nf,6\n'
    values, failed, _ = read(data, HOUSE)
    assert values == {"city": ["a", "f"], "rooms": [1, 6]}
    assert {row: why.split(":")[0] for row, why in failed.items()} == {
        1: "The row has 1 cells, and the head names 2 columns.",
        2: "The row is not text in UTF-8.",
        3: "The row has 3 cells, and the head names 2 columns.",
        4: "The line is no CSV",
    }
    assert read(data, HOUSE, skip=3)[1].keys() == {3, 4}


def test_empty_lines_are_no_rows_of_a_table_and_an_empty_cell_of_one_column(read):
    assert read("city,rooms\na,1\n\nb,2\n\n", HOUSE) == ({"city": ["a", "b"], "rooms": [1, 2]}, {}, [])
    assert read("text\na\n\nb\n", TEXT)[0] == ["a", "", "b"]


@pytest.mark.parametrize(
    "data", ['text\nok\n"open\nx\n', 'text\nok\n"open\nx "y" z\nv\n'], ids=["to the end", "to a quote"]
)
def test_a_quote_that_is_left_open_ends_the_run_because_rows_would_be_lost_in_it(read, data):
    with pytest.raises(SrvError, match="line 3: a cell that begins there with a quote does not end as one"):
        read(data, TEXT)


@pytest.mark.parametrize("data", ["text\nutf16".encode("utf-16"), b"\x1f\x8b\x08\x00\xff\n"], ids=["utf-16", "gzip"])
def test_what_is_no_text_is_said_to_be_none(read, data):
    with pytest.raises(SrvError, match="it is not text in UTF-8"):
        read(data, TEXT)


def test_another_delimiter_is_asked_for_and_taken(read):
    with pytest.raises(SrvError, match=r"has no comma\. Say what stands between its cells: --delimiter ';'"):
        read("city;rooms\na;1\n", HOUSE)
    assert read("city;rooms\na;1\n", HOUSE, delimiter=";")[0] == {"city": ["a"], "rooms": [1]}
    assert read("a;b\nc;d\n", TEXT, delimiter=",")[0] == ["c;d"]


def test_two_columns_cannot_be_one_input(read):
    with pytest.raises(SrvError, match="2 columns of the file are the input 'text'"):
        read("text,text\na,b\n", TEXT)
    with pytest.raises(SrvError, match="2 columns of the file are the input 'city'"):
        read("city,town,rooms\na,b,1\n", HOUSE, renamed={"town": "city"})


@pytest.mark.parametrize("renamed, said", [({"a": "city"}, "'a' is no column"), ({"city": "b"}, "'b' is no input")])
def test_a_mapping_of_what_is_not_there_is_refused(read, renamed, said):
    with pytest.raises(SrvError, match=said):
        read("city,rooms\na,1\n", HOUSE, renamed=renamed)


def test_lines_of_json_fail_alone_and_say_why(read):
    lines = [
        '\ufeff{"city": "a", "rooms": 1, "note": 2}',
        '{"city": "b"}',
        '{"city": "c", "rooms": null}',
        "[1]",
        "nope",
        "",
        '{"city": "f", "rooms": NaN}',
        '{"town": "g", "rooms": 7}',
        '{"town": "h"}',
    ]
    values, failed, ignored = read("\r\n".join(lines), HOUSE, "jsonl")
    assert values == {"city": ["a", "b", "c"], "rooms": [1, 7]}  # the server says what a model needs
    assert {row: why.split(":")[0] for row, why in failed.items()} == {
        3: "The line is no object, and the model has several inputs.",
        4: "The line is no JSON",
        5: "The line is no JSON",
        7: "The object has none of the inputs 'city', 'rooms'.",
    }
    assert ignored == ["note", "town"]
    assert read('{"town": "g", "rooms": 7}', HOUSE, "jsonl", renamed={"town": "city"})[0] == {
        "city": ["g"],
        "rooms": [7],
    }


def test_a_line_may_be_the_value_of_the_only_input(read):
    assert read('3\nnull\n{"x": 5}\n', FLOAT, "jsonl")[0] == [3, None, 5]
    as_json = (Spec("BYTES", (-1,), "x", {"content_type": "json"}),)
    assert read('{"a": 1}\n{"x": 2}\n', as_json, "jsonl")[0] == [{"a": 1}, 2]


def saved(tmp_path, array, **options):
    path = tmp_path / "array.npy"
    np.save(path, array, **options)
    return path.read_bytes()


@pytest.mark.parametrize("dtype", ["f2", "f4", ">f8", "i1", "u8", "?", "U3", "S3"])
def test_arrays_of_any_plain_dtype_are_rows(read, tmp_path, dtype):
    array = np.array([1, 0, 1]).astype(dtype)
    values, failed, _ = read(saved(tmp_path, array), FLOAT, "npy")
    assert np.array_equal(values, array)
    assert not failed


def test_arrays_in_columns_come_row_by_row(read, tmp_path):
    array = np.asfortranarray(np.arange(6.0).reshape(3, 2))
    assert np.array_equal(read(saved(tmp_path, array), FLOAT, "npy")[0], array)


@pytest.mark.parametrize(
    "data, said",
    [
        (lambda folder: saved(folder, np.array(["a", None], object), allow_pickle=True), "holds Python objects"),
        (lambda folder: saved(folder, np.arange(5))[:-3], "is cut off"),
        (lambda folder: saved(folder, np.float64(1)), "has no rows"),
        (lambda folder: b"PK\3\4 and so on", "is an archive"),
        (lambda folder: b"x\n1\n", "is no .npy file"),
        (lambda folder: b"", "is no .npy file"),
    ],
    ids=["pickle", "cut", "scalar", "npz", "csv", "empty"],
)
def test_what_is_no_array_is_refused_with_what_it_is(read, tmp_path, data, said):
    with pytest.raises(SrvError, match=f"cannot be read: it {said}"):
        read(data(tmp_path), FLOAT, "npy")


@pytest.mark.parametrize("number", ["7", " 7 ", "7.0", "+7", "-7", "9223372036854775807"])
def test_rows_beside_one_that_is_none_are_read_as_they_are_without_it(read, number):
    among_sound_ones = read(f"city,rooms\na,1\nb,{number}\n", HOUSE)[0]["rooms"]
    beside_a_bad_one = read(f"city,rooms\na,many\nb,{number}\n", HOUSE)[0]["rooms"]
    assert among_sound_ones == [1, *beside_a_bad_one]
    assert beside_a_bad_one == [int(float(number)) if "." in number else int(number)]


def test_columns_of_numbers_are_the_rows_of_an_only_input_with_and_without_lacking_cells(read):
    matrix = (Spec("FP32", (-1, 2), "input"),)
    assert np.array_equal(read("a,b\n1,2\n3,\n", matrix)[0], [[1, 2], [3, np.nan]], equal_nan=True)
    assert np.array_equal(read("a,b\n1,x\n3, 4\n", matrix)[0], [[3, 4]])
