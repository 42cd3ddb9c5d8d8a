"""How a server ends, whoever ends it, and what becomes of the requests that it has."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from servers import Server, ask, eventually, launched, numbers, running, write_model

pytestmark = pytest.mark.e2e


@pytest.fixture(autouse=True)
def nothing_stays(tmp_path, monkeypatch):
    """Each server gets a directory for temporary files of its own, which must be empty in the end."""
    place = Path(tempfile.mkdtemp(prefix="leaving-"))
    monkeypatch.setenv("TMPDIR", str(place))
    yield
    assert list(place.iterdir()) == []
    place.rmdir()


class InFlight:
    """A request of a thread of its own, which is in predict when it is made."""

    def __init__(self, server, folder):
        self._folder = folder
        self.answer = None
        self._thread = threading.Thread(target=self._ask, args=(server,))
        self._thread.start()
        server.wait_for("^in predict$")

    def finish(self):
        (self._folder / "gate").write_text("open")

    def result(self):
        self._thread.join(30)
        return self.answer

    def _ask(self, server):
        try:
            self.answer = server.post("/v2/models/held/infer", numbers(1, 2))
        except OSError as error:
            self.answer = error


def write_held(folder):
    """A model whose predict waits for a gate, and whose unload tells."""
    os.mkfifo(folder / "gate")
    place = write_model(
        folder,
        "held",
        predict=f"os.write(1, b'in predict\\n')\nPath('{folder}/gate').read_text()\nreturn 2 * x",
    )
    with (place / "models.py").open("a") as source:
        source.write("\n    def unload(self):\n        os.write(1, b'unloaded\\n')\n")


@pytest.mark.parametrize("end", ["SIGTERM", "SIGINT", "ctrl-c"])
@pytest.mark.parametrize("workers", ["1", "3"])
def test_a_signal_ends_the_server_with_0_quietly_and_leaves_nobody(tmp_path, end, workers):
    write_held(tmp_path)
    with running(tmp_path, "--workers", workers) as server:
        pids = server.workers()
        assert len(pids) == int(workers)
        said = len(server.lines)
        if end == "ctrl-c":
            server.press_ctrl_c()
        else:
            server.send(getattr(signal, end))
        assert server.wait(timeout=10) == 0
        assert server.lines[said:] == ["unloaded"] * int(workers)
        assert not any(Path("/proc", str(pid)).exists() for pid in pids)


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_what_is_in_flight_is_answered_before_the_server_ends(tmp_path, sig):
    write_held(tmp_path)
    with running(tmp_path) as server:
        request = InFlight(server, tmp_path)
        server.send(sig)
        eventually(lambda: not accepts(server))
        request.finish()
        assert request.result().json["outputs"][0]["data"] == [2, 4]
        assert server.wait(timeout=10) == 0
        assert "unloaded" in server.lines


def accepts(server):
    try:
        server.get("/v2/health/live", timeout=1)
    except OSError:
        return False
    return True


def test_with_drain_delay_a_server_is_unready_and_answers_for_that_long_before_it_ends(tmp_path):
    write_model(tmp_path)
    with running(tmp_path, "--workers", "2", environ={"SRV_DRAIN_DELAY": "2"}) as server:
        asked = time.monotonic()
        server.send(signal.SIGTERM)
        eventually(lambda: server.get("/v2/health/ready").status == 503)
        assert server.post("/v2/models/double/infer", numbers(1)).status == 200
        assert server.wait(timeout=10) == 0
        assert 2 <= time.monotonic() - asked < 10  # and not for graceful_timeout, which is 30


def test_a_reload_does_not_make_the_old_workers_unready(tmp_path):
    write_model(tmp_path)
    with running(tmp_path, environ={"SRV_DRAIN_DELAY": "30"}) as server:
        (old,) = server.workers()
        server.send(signal.SIGHUP)
        server.wait_for("Reloaded: ")
        eventually(lambda: old not in server.workers(), timeout=20)
        assert server.stop(signal.SIGQUIT, timeout=20) == 0


def test_a_request_that_takes_longer_than_graceful_timeout_does_not_keep_the_server(tmp_path):
    write_held(tmp_path)
    with running(tmp_path, "--graceful-timeout", "1") as server:
        request = InFlight(server, tmp_path)
        assert server.stop(timeout=10) == 0
        assert isinstance(request.result(), OSError)


def test_a_worker_that_hangs_at_its_end_is_killed_a_second_after_graceful_timeout(tmp_path):
    place = write_model(tmp_path)
    with (place / "models.py").open("a") as source:
        source.write("\n    def unload(self):\n        import ctypes\n        ctypes.PyDLL(None).sleep(60)\n")
    with running(tmp_path, "--graceful-timeout", "2", environ={"SRV_DRAIN_DELAY": "1"}) as server:
        asked = time.monotonic()
        assert server.stop(timeout=20) == 0
        assert 3 < time.monotonic() - asked < 7  # it was 8


def test_a_second_ctrl_c_does_not_wait_for_what_is_in_flight(tmp_path):
    write_held(tmp_path)
    with running(tmp_path) as server:
        request = InFlight(server, tmp_path)
        server.press_ctrl_c()
        eventually(lambda: not accepts(server))

        def pressed_again():
            server.press_ctrl_c()
            return server.process.poll() is not None

        eventually(pressed_again)
        assert server.wait() == 0
        assert "Traceback" not in server.output
        assert isinstance(request.result(), OSError)


@pytest.mark.parametrize("end", ["SIGTERM", "ctrl-c"])
def test_a_server_that_is_still_loading_ends_at_once(tmp_path, end):
    os.mkfifo(tmp_path / "gate")
    write_model(tmp_path, load=f"os.write(1, b'in load\\n')\nPath('{tmp_path}/gate').read_text()")
    with launched(tmp_path, "--workers", "2") as server:
        server.wait_for("in load", times=2)
        if end == "ctrl-c":
            server.press_ctrl_c()
        else:
            server.send(signal.SIGTERM)
        assert server.wait(timeout=10) == 0
        assert "Traceback" not in server.output


def test_a_signal_in_the_first_moments_ends_the_server_too(tmp_path):
    write_model(tmp_path)
    with launched(tmp_path, "--workers", "2") as server:
        server.url()
        server.send(signal.SIGTERM)
        assert server.wait(timeout=10) == 0
        assert "Traceback" not in server.output


def test_a_connection_kept_alive_does_not_keep_the_server(tmp_path):
    with running(tmp_path) as server:
        connection = server.connect()
        assert ask(connection, "GET", "/v2/health/live").status == 200
        assert server.stop(timeout=10) == 0
        connection.close()


def test_a_server_whose_terminal_is_closed_ends(tmp_path):
    write_held(tmp_path)
    arguments = [sys.executable, "-m", "srv", "start", str(tmp_path), "--http-port", "0", "--grpc-port", "0"]
    terminal = subprocess.Popen(
        [sys.executable, "-c", f"import pty; pty.spawn({arguments!r})"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with terminal:
        assert any("serving on " in line for line in terminal.stdout)
        (launcher,) = children(terminal.pid)
        processes = [launcher, *children(launcher)]
        assert len(processes) == 2
        terminal.kill()
        eventually(lambda: not any(alive(pid) for pid in processes))


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_workers_leave_when_the_launcher_is_killed(tmp_path):
    write_held(tmp_path)
    with running(tmp_path, "--workers", "2") as server:
        pids = server.workers()
        server.send(signal.SIGKILL)
        eventually(lambda: not any(alive(pid) for pid in pids), timeout=20)
        server.wait()
        assert server.lines.count("unloaded") == 2


def alive(pid):
    try:
        return " Z " not in Path("/proc", str(pid), "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_hooks_of_a_model_that_hangs_in_unload_do_not_keep_the_server_for_ever(tmp_path):
    place = write_model(tmp_path)
    with (place / "models.py").open("a") as source:
        source.write("\n    def unload(self):\n        time.sleep(600)\n")
    (tmp_path / "settings.json").write_text(json.dumps({"graceful_timeout": 0.5}))
    with running(tmp_path) as server:
        assert server.stop(timeout=20) == 0


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "term"])
def test_a_server_that_is_ended_while_it_still_imports_ends_quietly(tmp_path, sig):
    write_model(tmp_path)
    # Stands for the import of everything else, which takes its time on a slow machine.
    (tmp_path / "click.py").write_text("import sys, time\nprint('importing', flush=True)\ntime.sleep(60)\n")
    server = Server(tmp_path, environ={"PYTHONPATH": str(tmp_path)})
    try:
        server.wait_for("importing")
        assert server.stop(sig) == 0
        assert server.lines == ["importing"]
    finally:
        server.kill()
