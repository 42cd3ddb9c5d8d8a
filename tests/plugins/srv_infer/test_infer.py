"""`srv infer` against a real server: every format, failures, and files that cannot be sent or written."""

import io
import json
import os
import subprocess

import numpy as np
import pytest
from infer_runs import command, run, run_apart, write_numbers

pytestmark = pytest.mark.e2e


def test_csv_goes_in_and_comes_out_row_by_row(server, tmp_path):
    source = tmp_path / "in.csv"
    source.write_text("rooms,note,city\n3,a,Bonn\n4,b,Köln\n")
    done = run(server, "table", source, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "label,pair_0,pair_1\nBONN,3,4\nKÖLN,4,5\n"
    assert "does not take 'note'" in done.stderr
    assert "2 of 2 rows are answered" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


def test_json_lines_go_through_pipes(server):
    flags = ("--from", "jsonl", "--to", "jsonl")
    done = run_apart(server, "table", "-", "-", *flags, input='{"city": "a", "rooms": 1}\n')
    assert done.stdout == '{"label":"A","pair":[1,2]}\n'


def test_arrays_come_out_as_arrays(server, tmp_path):
    array = np.random.default_rng(7).normal(size=1000)
    np.save(tmp_path / "in.npy", array)
    run(server, "double", tmp_path / "in.npy", tmp_path / "out.npy", "--batch-size", 64)
    assert np.array_equal(np.load(tmp_path / "out.npy"), 2 * array)


def test_failed_rows_are_empty_and_stand_with_their_reasons_in_a_file(server, tmp_path):
    source = write_numbers(tmp_path / "in.csv", 300, "n")
    with source.open("a") as file:
        file.write("x\n")
    done = run(server, "strict", source, tmp_path / "out.jsonl", code=1)
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    bad = {13, 113, 213, 300}
    assert rows == [None if number in bad else {"output": number + 1} for number in range(301)]
    failed = [json.loads(line) for line in (tmp_path / "out.jsonl.failed.jsonl").read_text().splitlines()]
    assert [row["row"] for row in failed] == sorted(bad)
    assert failed[0]["error"] == "13 brings bad luck."
    assert "'x' is no INT64" in failed[-1]["error"]
    assert "4 rows failed" in done.stderr


def test_a_run_whose_first_batch_fails_wholly_stops_there(server, tmp_path):
    source = tmp_path / "in.csv"
    source.write_text("n\n" + "13\n" * 1000)
    done = run(server, "strict", source, tmp_path / "out.csv", "--batch-size", 10, code=1)
    assert "All 10 rows of the first batch failed" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out.csv").exists()


def test_a_model_that_answers_with_fewer_rows_is_asked_for_one_at_a_time(server, tmp_path):
    source = write_numbers(tmp_path / "in.csv", 5)
    done = run(server, "sum", source, tmp_path / "out.csv", code=1)
    assert "--batch-size 1" in done.stderr
    run(server, "sum", source, tmp_path / "out.csv", "--batch-size", 1, "--force")
    assert (tmp_path / "out.csv").read_text().split() == ["output", "0.0", "1.0", "2.0", "3.0", "4.0"]


def test_an_output_that_is_there_is_not_overwritten(server, tmp_path):
    source = write_numbers(tmp_path / "in.csv", 3)
    (tmp_path / "out.csv").write_text("mine")
    done = run(server, "double", source, tmp_path / "out.csv", code=1)
    assert "is there already" in done.stderr
    assert (tmp_path / "out.csv").read_text() == "mine"
    done = run(server, "double", source, tmp_path / "new.csv", "--resume", code=1)
    assert "nothing to go on with" in done.stderr


def test_the_summary_is_there_for_programs(server, tmp_path):
    source = write_numbers(tmp_path / "in.csv", 7)
    summary = json.loads(run(server, "double", source, tmp_path / "out.csv", "--json").stdout)
    assert {name: summary[name] for name in ("rows", "answered", "failed")} == {"rows": 7, "answered": 7, "failed": 0}


@pytest.mark.parametrize(
    "source, text, said",
    [
        ("in.csv", "y\n1\n2\n", "The model takes 'city', 'rooms', and the file has 'y'"),
        ("in.xls", "", "is not known; say it"),
        ("none.csv", None, "No such file"),
        ("in.npy", "no array", "cannot be read"),
    ],
)
def test_files_that_cannot_be_sent_are_an_error_that_says_why(server, tmp_path, source, text, said):
    if text is not None:
        (tmp_path / source).write_text(text)
    model = "table" if source == "in.csv" else "double"
    assert said in run(server, model, tmp_path / source, tmp_path / "out.csv", code=1).stderr.splitlines()[-1]


def test_standard_output_has_whole_arrays_also_where_it_is_a_pipe(server):
    done = run_apart(
        server, "double", "-", "-", "--from", "csv", "--to", "npy", "--batch-size", 2, input=b"x\n1\n2\n3\n", text=False
    )
    assert np.load(io.BytesIO(done.stdout)).tolist() == [2.0, 4.0, 6.0]


def test_a_reader_that_has_enough_ends_the_run_without_a_word(server, tmp_path):
    source = write_numbers(tmp_path / "in.csv", 200_000)
    words = command(server, "double", source, "-", "--to", "csv", "--quiet")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"output\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(100) == 1


def test_a_pipe_that_has_a_path_is_read_from_its_first_row(server, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    words = command(server, "double", tmp_path / "pipe", tmp_path / "out.csv", "--from", "csv")
    with subprocess.Popen(words, stderr=subprocess.PIPE) as process:
        (tmp_path / "pipe").write_text("x\n1\n2\n")
        process.communicate(timeout=100)
    assert (tmp_path / "out.csv").read_text() == "output\n2.0\n4.0\n"


def test_a_run_that_cannot_begin_leaves_nothing_and_touches_nothing(server, tmp_path):
    source = write_numbers(tmp_path / "in.csv", 3)
    (tmp_path / "bad.csv").write_text("n\n13\n113\n")
    mine = tmp_path / "mine.jsonl"
    mine.write_text("mine")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for model, name, output, flags, said in [
        ("double", source, source, ["--force"], "cannot be the input and the output at once"),
        ("double", source, "out.csv", ["--failed", source], "cannot be the input and the file of failed rows at once"),
        ("double", source, "out.csv", ["--failed", mine], "is there already; write it anew with --force"),
        ("double", source, tmp_path / "none" / "out.csv", [], "cannot be written: No such file or directory"),
        ("strict", tmp_path / "bad.csv", "out.jsonl", [], "All 2 rows of the first batch failed"),
        ("double", source, "out.jsonl", ["--outputs", "nope"], "Output 'nope' is unknown"),
        ("double", source, "out.csv", ["--map", "y=x"], "'y' is no column of the file"),
        ("shout", source, "out.npy", ["--map", "x=text"], "'output' is no numbers but BYTES"),
    ]:
        done = run(server, model, name, tmp_path / output, *flags, code=1)
        assert said in done.stderr
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_rows_of_other_widths_than_the_first_fail_in_csv_and_stand_in_json_lines(server, tmp_path):
    source = tmp_path / "in.csv"
    source.write_text("n\n1\n2\n")
    run(server, "ragged", source, tmp_path / "out.csv", "--batch-size", 1, code=1)
    assert (tmp_path / "out.csv").read_text() == "output_0,output_1\n0,1\n,\n"
    run(server, "ragged", source, tmp_path / "out.jsonl", "--batch-size", 1)
    assert (tmp_path / "out.jsonl").read_text() == '{"output":[0,1]}\n{"output":[0,1,2]}\n'


def test_rows_of_json_may_give_different_inputs(server, tmp_path):
    source = tmp_path / "in.jsonl"
    source.write_text('{"a": 1}\n{"a": 2, "b": 30}\n{"b": 3}\n{"a": 4, "b": null}\n{"a": 5, "b": 60}\n')
    run(server, "optional", source, tmp_path / "out.jsonl", code=1)
    answers = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert answers == [{"output": 1}, {"output": 32}, None, {"output": 4}, {"output": 65}]
    assert "Input 'a' is missing" in (tmp_path / "out.jsonl.failed.jsonl").read_text()


def test_rows_go_over_grpc_too(server, tmp_path):
    source = write_numbers(tmp_path / "in.csv", 600)
    port = server.wait_for(r"gRPC on [^\s]*:(\d+)").group(1)
    run(server, "double", source, tmp_path / "out.jsonl", url=f"grpc://127.0.0.1:{port}")
    assert (tmp_path / "out.jsonl").read_text().splitlines()[-1] == '{"output":1198.0}'
    said = run(server, "double", source, tmp_path / "no.jsonl", url=f"127.0.0.1:{port}", code=1).stderr
    assert "does not speak the Open Inference Protocol: it does not speak HTTP, its answer begins with" in said


def test_the_version_that_is_asked_for_answers_and_another_one_is_named(server, tmp_path):
    source = write_numbers(tmp_path / "in.csv", 3)
    run(server, "double", source, tmp_path / "out.csv", "--version", 1)
    done = run(server, "double", source, tmp_path / "other.csv", "--version", 7, code=1)
    assert done.stderr == "Model 'double' has no version '7'; it has 1.\n"
