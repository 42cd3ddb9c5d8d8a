"""The run directory: what it holds, who may change it, and what is left of it."""

import errno
import fcntl
import os
import shutil
import socket
import stat

import pytest

from srv.serve.control_socket import ControlThread, ask
from srv.serve.run_directory import RunDirectory, State


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


@pytest.fixture
def answering(directory):
    """A worker with pid 7, which tells what it was asked."""
    control = ControlThread(directory.register(7), lambda question: {"heard": question})
    control.start()
    yield control
    control.close()


def test_a_worker_is_reached_by_its_socket_until_it_is_gone(directory, answering):
    (path,) = directory.registered().values()
    assert ask(path, {"ask": "state"}) == {"heard": {"ask": "state"}}
    directory.forget(7)
    assert directory.registered() == {}


def test_a_question_that_is_no_json_does_not_end_the_answering(directory, answering):
    (path,) = directory.registered().values()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        client.sendall(b"nonsense\n")
        assert client.recv(100) == b""
    assert ask(path, {}) == {"heard": {}}


@pytest.mark.parametrize("length", [40, 120])
def test_no_way_to_temporary_files_is_too_long_for_sockets(short_path, monkeypatch, length):
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    place = short_path / ("x" * (length - len(str(short_path)) - 1))
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    directory = RunDirectory()
    directory.register(4194304).close()  # the longest number of a process
    assert directory.pids() == [4194304]
    assert directory.path.parent == place
    directory.remove()


def test_a_change_while_a_cohort_reads_the_repository_is_not_lost(directory):
    read = []

    def found(before):
        read.append(before.generation)
        if len(read) == 1:
            directory.change("iris", [])
        return tuple(each for each in IRIS if each[0] not in before.unloaded)

    assert directory.coming(found) == State(2, IRIS[1:], ("iris",))
    assert read == [0, 1]


def test_where_there_is_no_memory_for_a_change_the_state_stays(directory, monkeypatch):
    directory.coming(lambda _: IRIS)
    before = directory.state(), directory.latest()

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.pwrite", full)
    with pytest.raises(OSError, match="No space left on device"):
        directory.change("iris", [])
    monkeypatch.undo()
    assert (directory.state(), directory.latest()) == before


def test_what_processes_share_needs_no_file(directory):
    directory.coming(lambda _: IRIS)
    shutil.rmtree(directory.path)
    directory.arrive()
    assert directory.change("iris", []) == 2
    assert directory.state() == State(2, (("wine", "2"),), ("iris",))
    with directory.changing("iris", 1), directory.register(7):
        assert directory.pids() == [7]
    directory.forget(7)
    assert not directory.path.exists()
    directory.keep()
    assert stat.S_IMODE(directory.path.stat().st_mode) == 0o700


def test_a_folder_that_another_process_has_made_again_is_taken_back(directory):
    shutil.rmtree(directory.path)
    (directory.path / "statistics").mkdir(parents=True)
    directory.keep()
    assert stat.S_IMODE(directory.path.stat().st_mode) == 0o700
    assert is_locked(directory.path)


def is_locked(folder):
    """Whether systemd-tmpfiles would pass the folder over."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder of temporary files."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    return tmp_path


def test_the_folder_is_locked_and_what_a_killed_server_left_is_removed(place):
    first = RunDirectory()
    assert is_locked(first.path)
    left = place / "srv-run-12345678"
    (left / "statistics").mkdir(parents=True)
    foreign = place / "srv-else"
    foreign.mkdir()
    second = RunDirectory()
    assert first.path.exists()
    assert foreign.exists()
    assert not left.exists()
    first.remove()
    second.remove()


def test_the_folder_of_the_user_s_session_is_taken_where_there_is_one(place, monkeypatch):
    runtime = place / "runtime"
    runtime.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    directory = RunDirectory()
    assert directory.path.parent == runtime
    directory.remove()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(place / "nowhere"))
    directory = RunDirectory()
    assert directory.path.parent == place
    directory.remove()


def test_nobody_but_this_user_is_answered(directory, answering, monkeypatch):
    (path,) = directory.registered().values()
    monkeypatch.setattr("os.geteuid", lambda: 4711)
    monkeypatch.setattr("srv.serve.control_socket._PEER", Stranger())
    with pytest.raises(OSError):
        ask(path, {})


class Stranger:
    """What Linux tells of a process of another user."""

    size = 12

    def unpack(self, _):
        return 1, 1000, 1000
