"""Runs of `srv infer` that are stopped in any way go on, and answer each row once."""

import contextlib
import os
import random
import resource
import signal
import subprocess
import time

import numpy as np
import pytest
from infer_runs import command, run, run_apart, write_numbers
from servers import eventually

pytestmark = pytest.mark.e2e


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

    done = run_apart(server, "double", source, tmp_path / "out.csv", code=1, preexec_fn=little_room, env=unmeasured())
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


@pytest.fixture
def gate(folder):
    """What the model `held` waits for from row 20 on, until the test removes it."""
    path = folder / "gate"
    path.touch()
    yield path
    path.unlink(missing_ok=True)


@contextlib.contextmanager
def half_done(server, source, output, *flags):
    """A run whose first twenty rows are written, and which waits for the next ones."""
    journal = output.with_name(f"{output.name}.journal")
    words = command(server, "held", source, output, "--batch-size", "10", "--parallel", "1", *flags)
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        try:
            eventually(lambda: process.poll() is not None or len(lines_of(journal)) == 3)
            yield process
        finally:
            process.kill()


def lines_of(path):
    return path.read_bytes().splitlines() if path.exists() else []


def ended(process):
    said = process.stderr.read()
    return process.wait(100), said


def test_ctrl_c_ends_a_run_at_once_and_says_how_it_goes_on(server, tmp_path, gate):
    source, output = write_numbers(tmp_path / "in.csv", 40), tmp_path / "out.csv"
    with half_done(server, source, output) as process:
        process.send_signal(signal.SIGINT)
        code, said = ended(process)
    assert code == 130
    assert said.splitlines()[-1] == "The run was stopped. What is answered is written; go on with --resume."
    gate.unlink()
    done = run(server, "held", source, output, "--resume")
    assert "40 of 40 rows are answered, 20 of them before, in" in done.stderr
    assert [float(line) for line in output.read_text().split()[1:]] == [2.0 * number for number in range(40)]


def test_another_run_over_the_same_output_is_refused_while_one_is_at_it(server, tmp_path, gate):
    source, output = write_numbers(tmp_path / "in.csv", 40), tmp_path / "out.csv"
    with half_done(server, source, output) as process:
        for flag in ("--force", "--resume", "--quiet"):
            refused = run(server, "double", source, output, flag, code=1)
            assert "is being written by another run" in refused.stderr
        given = run_apart(server, "double", "-", output, "--from", "csv", "--force", code=1, input="x\n1\n")
        assert "is being written by another run" in given.stderr
        gate.unlink()
        assert ended(process)[0] == 0
    assert [float(line) for line in output.read_text().split()[1:]] == [2.0 * number for number in range(40)]


def test_a_run_goes_on_only_over_the_same_input_with_the_same_settings(server, tmp_path, gate):
    source, output = write_numbers(tmp_path / "in.csv", 40), tmp_path / "out.csv"
    with half_done(server, source, output, "--parameter", "a=1") as process:
        process.kill()
    gate.unlink()
    resumed = ("--resume", "--parameter", "a=1")
    assert "is of another run: parameters differ" in run(server, "held", source, output, "--resume", code=1).stderr
    named = run(server, "held", source, output, *resumed, "--outputs", "output", code=1)
    assert "is of another run: outputs differ" in named.stderr
    answers = output.read_bytes()
    output.write_bytes(answers[:10])
    assert "lacks answers that its journal tells of" in run(server, "held", source, output, *resumed, code=1).stderr
    output.unlink()
    assert "lacks answers that its journal tells of" in run(server, "held", source, output, *resumed, code=1).stderr
    output.write_bytes(answers)
    text = source.read_text()
    source.write_text(text.replace("\n39\n", "\n93\n"))
    assert "is of another run: input differ" in run(server, "held", source, output, *resumed, code=1).stderr
    run(server, "held", source, output, "--force")
    assert output.read_text().split()[-1] == "186.0"
