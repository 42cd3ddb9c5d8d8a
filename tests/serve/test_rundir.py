"""The run directory: what it holds, who may change it, and what is left of it."""

import json
import socket
import stat
import threading
from pathlib import Path

import pytest

from srv.serve.control import ControlThread, ask
from srv.serve.rundir import RunDirectory, State


@pytest.fixture
def directory():
    directory = RunDirectory()
    yield directory
    directory.remove()


IRIS = (("iris", None), ("wine", "2"))


def test_only_its_owner_may_look_inside_and_it_goes_as_a_whole(directory):
    assert stat.S_IMODE(directory.path.stat().st_mode) == 0o700
    with directory.register(1):
        directory.remove()
    assert not directory.path.exists()


def test_a_cohort_reads_the_repository_once_and_its_models_become_the_state(directory):
    assert directory.state() == State(0, None)
    assert directory.coming(lambda _: IRIS) == State(1, IRIS)
    assert directory.coming(lambda _: pytest.fail("read twice")) == State(1, IRIS)
    assert directory.state() == State(0, None)
    directory.arrive()
    assert directory.state() == State(1, IRIS)


def test_a_cohort_that_fails_leaves_the_state_as_it_was(directory):
    directory.coming(lambda _: IRIS)
    directory.arrive()
    directory.coming(lambda _: ())
    directory.abandon()
    assert directory.state() == State(1, IRIS)
    assert directory.coming(lambda _: IRIS[:1]) == State(2, IRIS[:1])


def test_a_cohort_that_cannot_read_the_repository_leaves_it_to_the_next(directory):
    def broken(_):
        raise ValueError("no repository")

    with pytest.raises(ValueError, match="no repository"):
        directory.coming(broken)
    assert directory.coming(lambda _: IRIS) == State(1, IRIS)


def test_the_state_is_json_that_anyone_can_read(directory):
    directory.coming(lambda _: IRIS)
    directory.arrive()
    held = json.loads((directory.path / "state.json").read_text())
    assert held == {"generation": 1, "models": [["iris", None], ["wine", "2"]], "unloaded": []}


def test_the_lock_is_held_by_one_at_a_time(directory):
    entered = threading.Event()

    def enter():
        with directory.locked():
            entered.set()

    other = threading.Thread(target=enter)
    with directory.locked():
        other.start()
        assert not entered.wait(0.1)
    assert entered.wait(10)
    other.join()


@pytest.fixture
def answering(directory):
    """A worker with pid 7, which tells what it was asked."""
    control = ControlThread(directory.register(7), lambda question: {"heard": question})
    control.start()
    yield control
    control.close()


def test_a_worker_is_reached_by_its_socket_until_it_is_gone(directory, answering):
    (path,) = directory.registered()
    assert ask(path, {"ask": "state"}) == {"heard": {"ask": "state"}}
    directory.forget(7)
    assert directory.registered() == []


def test_a_question_that_is_no_json_does_not_end_the_answering(directory, answering):
    (path,) = directory.registered()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"nonsense\n")
        assert client.recv(100) == b""
    assert ask(path, {}) == {"heard": {}}


def test_a_long_way_to_temporary_files_is_not_too_long_for_sockets(tmp_path, monkeypatch):
    place = tmp_path / ("long" * 30)
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    directory = RunDirectory()
    directory.register(7).close()
    directory.remove()
    assert Path("/tmp") in directory.path.parents
