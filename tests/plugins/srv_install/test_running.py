"""A program that takes long is told of, and one that is interrupted may put back what it has changed."""

import os
import signal
import sys
import threading
import time

import pytest

from srv_install import running


def test_nothing_is_told_of_a_program_that_is_quick(capsys, monkeypatch):
    monkeypatch.setattr(running, "FIRST", 60.0)
    ended = running.run([sys.executable, "-c", "print('out')"], "Looking")
    assert (ended.code, ended.stdout) == (0, "out\n")
    assert capsys.readouterr().err == ""


def test_a_program_that_takes_long_is_told_of_again_and_again(capsys, monkeypatch):
    monkeypatch.setattr(running, "FIRST", 0.02)
    monkeypatch.setattr(running, "NEXT", 0.05)
    running.run([sys.executable, "-c", "import time; time.sleep(0.5)"], "Looking")
    first, *others = capsys.readouterr().err.splitlines()
    assert first == "Looking …"
    assert others
    assert all(line.startswith("Looking … ") and line.endswith(" s") for line in others)


INTERRUPTED = """
import os, pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
try:
    (folder / "pid.new").write_text(str(os.getpid()))
    (folder / "pid.new").rename(folder / "pid")
    time.sleep(600)
except KeyboardInterrupt:
    print("x" * 1_000_000)  # more than a pipe holds
    (folder / "put back").touch()
"""


def test_an_interrupted_program_gets_the_time_to_put_back_what_it_changed(tmp_path):
    def interrupt():
        deadline = time.monotonic() + 60
        while not (tmp_path / "pid").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        running.run([sys.executable, "-c", INTERRUPTED, str(tmp_path)], "Waiting")
    thread.join()
    assert (tmp_path / "put back").exists()
