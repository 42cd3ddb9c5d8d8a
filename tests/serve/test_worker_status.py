"""What workers tell the master."""

import os
import select

import pytest

from srv.serve.worker_status import StatusPipe, WorkerReport


@pytest.fixture
def reports():
    reports = StatusPipe()
    yield reports
    reports.close()


def test_what_is_said_is_heard_in_order_and_once(reports):
    reports.doing("loading model iris")
    reports.ready("iris")
    reports.spent()
    pid = os.getpid()
    assert list(reports.received()) == [
        WorkerReport(pid, "doing", "loading model iris"),
        WorkerReport(pid, "ready", "iris"),
        WorkerReport(pid, "spent"),
    ]
    assert list(reports.received()) == []


def test_a_line_that_has_come_in_part_waits_for_its_rest(reports):
    os.write(reports._writing, b'{"pid": 1, "what": "re')
    assert list(reports.received()) == []
    os.write(reports._writing, b'ady", "text": ""}\n')
    assert list(reports.received()) == [WorkerReport(1, "ready")]


@pytest.mark.parametrize("character", ["a", "é", "\N{GRINNING FACE}", "\n", "\\"])
def test_a_sentence_of_any_length_is_one_atomic_write(reports, character):
    reports.failed(character * 100_000)
    assert len(os.read(reports.fileno(), 100_000)) <= select.PIPE_BUF


def test_a_worker_whose_master_is_gone_may_still_speak(reports):
    reading = os.dup(reports.fileno())
    os.close(reading)
    speaking = StatusPipe()
    speaking.only_write()
    speaking.ready("iris")
    os.close(speaking._writing)
