"""Memory and locks that processes share."""

import os
import subprocess
import sys
import threading

import pytest

from srv.processes.shared_memory import SharedDocument, SharedLocks


def test_a_document_is_replaced_by_shorter_and_longer_ones():
    document = SharedDocument("test", b"first")
    for content in (b"", b"x" * 10_000, b"short", b"y" * 30_000, b"z" * 29_000, b"last"):
        document.write(content)
        assert document.read() == content


def test_a_document_that_cannot_be_written_whole_stays_as_it_was(monkeypatch):
    document = SharedDocument("test", b"first")
    written = os.pwrite

    def full_soon(descriptor, content, place):
        if len(content) > 100:
            return written(descriptor, content[:100], place)
        if len(content) > 16:
            raise OSError("full")
        return written(descriptor, content, place)

    monkeypatch.setattr("os.pwrite", full_soon)
    with pytest.raises(OSError, match="full"):
        document.write(b"second" * 20)
    assert document.read() == b"first"


def test_a_lock_is_held_by_one_thread_at_a_time_and_other_names_are_other_locks():
    locks, entered = SharedLocks(), threading.Event()

    def enter():
        with locks.held("iris", 10):
            entered.set()

    other = threading.Thread(target=enter)
    with locks.held("iris", 1) as let_go:
        other.start()
        with locks.held("wine", 1), pytest.raises(TimeoutError), locks.held("iris", 0.05):
            pytest.fail("two at once")
        assert not entered.is_set()
        let_go()
        assert entered.wait(10)
        other.join()
    with locks.held("iris", 1):
        pass


OTHER = """
import os, sys
from srv.processes.shared_memory import SharedLocks
locks = SharedLocks()
locks._file = int(sys.argv[1])
with locks.held("iris", 10):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_lock_is_held_by_one_process_at_a_time_and_one_that_dies_lets_go():
    locks = SharedLocks()
    os.set_inheritable(locks._file.fileno(), True)
    other = subprocess.Popen(
        [sys.executable, "-c", OTHER, str(locks._file.fileno())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        close_fds=False,
    )
    with other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(TimeoutError), locks.held("iris", 0.05):
            pytest.fail("two at once")
        other.kill()
        other.wait()
        with locks.held("iris", 10):
            pass
