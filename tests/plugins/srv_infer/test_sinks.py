"""Files of answers hold what the model gave, value by value, or say which row they cannot hold."""

import csv
import io
import json

import numpy as np
import pytest

from srv.client import Result
from srv.errors import SrvError
from srv.messages import InferenceResponse
from srv.tensors import Tensor
from srv_infer.answers import Answers
from srv_infer.sinks import opened


def answers(first, rows, *parts, failed=()):
    """The answers of a batch: for each part the numbers of its rows, and its outputs by name."""
    made = Answers(first, rows)
    for numbers, outputs in parts:
        tensors = [value if isinstance(value, Tensor) else Tensor(name, value) for name, value in outputs.items()]
        made.add(numbers, Result(InferenceResponse(tensors)))
    made.failed.update(dict.fromkeys(failed, "bad"))
    return made


def written(path, form, *batches):
    sink = opened(str(path), form, 0)
    try:
        for batch in batches:
            sink.write(batch)
        sink.finish()
    finally:
        sink.close()
    return np.load(path) if form == "npy" else path.read_bytes().decode()


def test_numbers_are_written_as_short_as_they_can_be_told_apart(tmp_path):
    batch = answers(0, 2, ([0, 1], {"y": np.array([[0.1, np.nan], [16777216, 1 / 3]], np.float32)}))
    assert written(tmp_path / "out.jsonl", "jsonl", batch) == '{"y":[0.1,null]}\n{"y":[16777216.0,0.33333334]}\n'
    assert written(tmp_path / "out.csv", "csv", batch) == "y_0,y_1\n0.1,\n16777216.0,0.33333334\n"


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), 2**53 + 1])
def test_large_integers_stay_exact(tmp_path, value):
    batch = answers(0, 1, ([0], {"y": np.array([value])}))
    assert json.loads(written(tmp_path / "out.jsonl", "jsonl", batch)) == {"y": value}
    assert written(tmp_path / "out.csv", "csv", batch).split() == ["y", str(value)]
    assert written(tmp_path / "out.npy", "npy", batch).tolist() == [value]


def test_bits_of_bf16_are_written_as_their_numbers(tmp_path):
    batch = answers(0, 2, ([0, 1], {"y": Tensor("y", np.array([0x3F80, 0xC000], np.uint16), "BF16")}))
    assert written(tmp_path / "out.jsonl", "jsonl", batch) == '{"y":1.0}\n{"y":-2.0}\n'
    assert written(tmp_path / "out.npy", "npy", batch).tolist() == [1.0, -2.0]


def test_infinity_which_json_cannot_say_is_a_row_that_failed(tmp_path):
    batch = answers(5, 3, ([5, 6, 7], {"y": np.array([1.0, np.inf, 3.0])}))
    assert written(tmp_path / "out.jsonl", "jsonl", batch) == '{"y":1.0}\nnull\n{"y":3.0}\n'
    assert batch.failed[6].startswith("The output 'y' holds infinity")
    batch = answers(5, 3, ([5, 6, 7], {"y": np.array([1.0, np.inf, 3.0])}))
    assert written(tmp_path / "out.csv", "csv", batch) == "y\n1.0\ninf\n3.0\n"
    assert not batch.failed


def test_texts_with_commas_quotes_and_lines_come_back_from_csv(tmp_path):
    texts = ["a,b", 'say "c"', "two\r\nlines", "", "ü"]
    batch = answers(0, 5, ([*range(5)], {"y": np.array([text.encode() for text in texts], object)}))
    assert [row[0] for row in csv.reader(io.StringIO(written(tmp_path / "out.csv", "csv", batch), newline=""))] == [
        "y",
        *texts,
    ]


def test_a_row_of_another_width_than_the_head_fails_instead_of_moving_its_cells(tmp_path):
    narrow = answers(0, 1, ([0], {"y": np.zeros((1, 2))}))
    wide = answers(1, 2, ([1], {"y": np.ones((1, 3))}), ([2], {"y": np.full((1, 2), 2.0)}))
    assert written(tmp_path / "out.csv", "csv", narrow, wide) == "y_0,y_1\n0.0,0.0\n,\n2.0,2.0\n"
    assert wide.failed == {1: "The answer has 3 columns, not the 2 of the first one; write JSON lines."}


def test_rows_that_failed_before_the_head_is_known_stand_below_it(tmp_path):
    path = tmp_path / "out.csv"
    sink = opened(str(path), "csv", 0)
    assert sink.write(answers(0, 1, failed=[0])) == 0
    sink.close()
    resumed = opened(str(path), "csv", 0, rows=1)
    resumed.write(answers(1, 1, ([1], {"y": np.array([2.0])})))
    resumed.close()
    assert path.read_text() == 'y\n""\n2.0\n'


def test_an_array_has_nan_for_rows_that_failed_and_goes_on_behind_its_bytes(tmp_path):
    path = tmp_path / "out.npy"
    sink = opened(str(path), "npy", 0)
    at = sink.write(answers(0, 3, ([0, 2], {"y": np.array([[1.0, 2.0], [5.0, 6.0]])}), failed=[1]))
    sink.write(answers(3, 1, ([3], {"y": np.array([[9.0, 9.0]])})))
    sink.close()
    resumed = opened(str(path), "npy", at, rows=3)
    resumed.write(answers(3, 1, ([3], {"y": np.array([[7.0, 8.0]])})))
    resumed.finish()
    resumed.close()
    assert np.array_equal(np.load(path), [[1, 2], [np.nan, np.nan], [5, 6], [7, 8]], equal_nan=True)


@pytest.mark.parametrize(
    "batch, said",
    [
        (lambda: answers(0, 1, ([0], {"y": np.array([b"text"], object)})), "'y' is no numbers but BYTES"),
        (lambda: answers(0, 1, ([0], {"y": np.zeros(1), "z": np.zeros(1)})), "the model gives 'y', 'z'"),
        (
            lambda: answers(0, 2, ([0], {"y": np.zeros((1, 1))}), ([1], {"y": np.ones((1, 3))})),
            r"row 1 was answered with float64\[3\] after float64\[1\]",
        ),
        (lambda: answers(0, 2, ([0], {"y": np.zeros(1, int)}), failed=[1]), "Row 1 failed, and a .npy file"),
    ],
    ids=["text", "two outputs", "another shape", "integers"],
)
def test_what_an_array_cannot_hold_ends_the_run_with_a_sentence(tmp_path, batch, said):
    with pytest.raises(SrvError, match=said):
        written(tmp_path / "out.npy", "npy", batch())


def test_a_file_that_is_shorter_than_the_journal_tells_is_not_filled_with_zeros(tmp_path):
    path = tmp_path / "out.csv"
    path.write_bytes(b"y\n1.0\n")
    with pytest.raises(SrvError, match="lacks answers that its journal tells of"):
        opened(str(path), "csv", 100)
    assert path.read_bytes() == b"y\n1.0\n"


def test_two_runs_never_have_one_file(tmp_path):
    first = opened(str(tmp_path / "out.csv"), "csv", 0)
    with pytest.raises(SrvError, match="is being written by another run"):
        opened(str(tmp_path / "out.csv"), "csv", 0)
    first.close()
    opened(str(tmp_path / "out.csv"), "csv", 0).close()


@pytest.mark.parametrize(
    "values",
    [
        np.array([[0.1, np.nan], [np.inf, 2.0]], np.float32),
        np.array([True, False]),
        np.arange(4).reshape(2, 2, 1),
        np.array([[1], [2]], np.uint8),
        np.array([b"a,b", b""], object),
    ],
    ids=["floats", "booleans", "nested", "one wide", "texts"],
)
def test_csv_of_a_batch_that_was_asked_in_halves_is_that_of_a_whole_one(tmp_path, values):
    whole = written(tmp_path / "whole.csv", "csv", answers(0, 2, ([0, 1], {"y": values})))
    halves = answers(0, 2, ([0], {"y": values[:1]}), ([1], {"y": values[1:]}))
    assert written(tmp_path / "halves.csv", "csv", halves) == whole
