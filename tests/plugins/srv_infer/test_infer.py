"""`srv infer` against a real server: every format, failures, kills, a full disk, a server that loses its workers."""

import contextlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from servers import eventually, running

pytestmark = pytest.mark.e2e
CODE = """
import numpy as np
from numpy.typing import NDArray
from srv import InvalidInput, Runtime


class Double(Runtime):
    def predict(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return 2 * x


class Strict(Runtime):
    def predict(self, n: NDArray[np.int64]) -> NDArray[np.int64]:
        if (n % 100 == 13).any():
            raise InvalidInput("13 brings bad luck.")
        return n + 1


class Table(Runtime):
    def predict(self, city: list[str], rooms: NDArray[np.int64]) -> dict[str, NDArray]:
        return {"label": np.array([name.upper() for name in city], object), "pair": np.stack([rooms, rooms + 1], axis=1)}


class Sum(Runtime):
    def predict(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return x.sum(keepdims=True)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("infer")
    for name in ("Double", "Strict", "Table", "Sum"):
        place = folder / name.lower()
        place.mkdir()
        (place / "models.py").write_text(CODE)
        (place / "model-settings.json").write_text(json.dumps({"implementation": f"models.{name}"}))
    with running(folder, "--workers", "2") as server:
        yield server


def command(server, model, source, output, *flags):
    words = [
        sys.executable,
        "-P",
        "-m",
        "srv",
        "infer",
        model,
        "--url",
        server.url(),
        "-i",
        str(source),
        "-o",
        str(output),
    ]
    return [*words, *map(str, flags)]


def run(server, model, source, output, *flags, given=None, code=0, **options):
    done = subprocess.run(
        command(server, model, source, output, *flags),
        input=given,
        capture_output=True,
        text=True,
        timeout=100,
        **options,
    )
    assert done.returncode == code, done.stderr
    return done


def write_numbers(path, rows, head="x"):
    path.write_text(f"{head}\n" + "".join(f"{number}\n" for number in range(rows)))
    return path


def test_csv_goes_in_and_comes_out_row_by_row(server, tmp_path):
    source = tmp_path / "in.csv"
    source.write_text("rooms,note,city\n3,a,Bonn\n4,b,Köln\n")
    done = run(server, "table", source, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "label,pair_0,pair_1\nBONN,3,4\nKÖLN,4,5\n"
    assert "does not take 'note'" in done.stderr
    assert "2 of 2 rows are answered" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


def test_json_lines_go_through_pipes(server):
    done = run(server, "table", "-", "-", "--from", "jsonl", "--to", "jsonl", given='{"city": "a", "rooms": 1}\n')
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


def killed_in_its_middle(words, journal, chance):
    """Run a command until its journal has grown, and kill it at some moment after that."""
    size = journal.stat().st_size if journal.exists() else 0
    process = subprocess.Popen(words)
    eventually(lambda: process.poll() is not None or (journal.exists() and journal.stat().st_size > size + 20))
    time.sleep(chance.random() / 20)  # a moment that nothing tells, anywhere in a batch
    process.kill()
    process.wait()


@pytest.mark.parametrize("form", ["csv", "npy"])
def test_a_run_killed_again_and_again_answers_each_row_once(server, tmp_path, form):
    rows = 6000
    source = write_numbers(tmp_path / "in.csv", rows)
    output, journal = tmp_path / f"out.{form}", tmp_path / f"out.{form}.journal"
    chance = random.Random(form)
    flags = ["--batch-size", "10", "-q"]
    for kill in range(3):
        killed_in_its_middle(
            command(server, "double", source, output, *flags, *(["--resume"] if kill else [])), journal, chance
        )
    if journal.exists():
        run(server, "double", source, output, *flags, "--resume")
    expected = [2.0 * number for number in range(rows)]
    if form == "npy":
        assert np.load(output).tolist() == expected
    else:
        assert [float(line) for line in output.read_text().split()[1:]] == expected
    assert not journal.exists()


def unmeasured():
    """The environment of a process that coverage does not measure, because its file would be limited too."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}


def test_a_file_that_may_not_grow_ends_the_run_which_goes_on_when_it_may(server, tmp_path):
    source = write_numbers(tmp_path / "in.csv", 5000)

    def little_room():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    done = run(server, "double", source, tmp_path / "out.csv", code=1, preexec_fn=little_room, env=unmeasured())
    assert done.stderr.splitlines()[-1].startswith("The output cannot be written: File too large.")
    assert "--resume" in done.stderr
    run(server, "double", source, tmp_path / "out.csv", "--resume")
    assert [float(line) for line in (tmp_path / "out.csv").read_text().split()[1:]] == [2.0 * n for n in range(5000)]


@pytest.fixture
def small_disk(tmp_path):
    """A filesystem of 64 kB, where this process may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"No filesystem can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("form", ["csv", "npy"])
def test_a_disk_that_is_full_ends_the_run_which_goes_on_when_there_is_room(server, tmp_path, small_disk, form):
    rows = 20_000
    source, output = write_numbers(tmp_path / "in.csv", rows), small_disk / f"out.{form}"
    done = run(server, "double", source, output, code=1)
    assert done.stderr.splitlines()[-1].startswith("The output cannot be written: No space left on device.")
    again = run(server, "double", source, output, "--resume", code=1)
    assert "No space left on device. What is answered is written; go on with --resume." in again.stderr
    subprocess.run(["mount", "-o", "remount,size=1m", small_disk], check=True)
    run(server, "double", source, output, "--resume")
    values = np.load(output).tolist() if form == "npy" else [float(line) for line in output.read_text().split()[1:]]
    assert values == [2.0 * number for number in range(rows)]


def test_workers_that_are_killed_cost_no_row(server, tmp_path):
    source = write_numbers(tmp_path / "in.csv", 20_000)
    output = tmp_path / "out.csv"
    process = subprocess.Popen(command(server, "double", source, output, "--batch-size", "20", "-q"))
    for _ in range(2):
        eventually(lambda: output.exists() and output.stat().st_size > 100)
        with contextlib.suppress(ProcessLookupError):
            os.kill(random.choice(server.workers()), signal.SIGKILL)
        eventually(lambda: len(server.workers()) == 2)
    assert process.wait(100) == 0
    assert [float(line) for line in output.read_text().split()[1:]] == [2.0 * n for n in range(20_000)]


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
