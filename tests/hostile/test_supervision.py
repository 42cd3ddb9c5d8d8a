"""The launcher when a step of its own fails: no room for a process, reports that are none, folders that go away."""

import os
import re
import shutil
import signal
from pathlib import Path

import pytest
from servers import eventually, launched, numbers, running, write_model

pytestmark = [pytest.mark.hostile, pytest.mark.timeout(180)]

#: Imported by each Python process at its start: while the file is there, the system has no room for a process.
NO_ROOM = """
import errno, os

_fork = os.fork

def fork():
    if os.path.exists({file!r}):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return _fork()

os.fork = fork
"""


class NoRoom:
    """A switch: while it is on, no process of the server can fork."""

    def __init__(self, place):
        place.mkdir()
        self._file = place / "full"
        (place / "sitecustomize.py").write_text(NO_ROOM.format(file=str(self._file)))
        self.environ = {"PYTHONPATH": str(place)}

    def on(self):
        self._file.touch()

    def off(self):
        self._file.unlink()


@pytest.fixture
def no_room(tmp_path):
    return NoRoom(tmp_path / "site")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "models"
    write_model(folder)
    return folder


def answer_of(server):
    answer = server.post("/v2/models/double/infer", numbers(1))
    return answer.json["outputs"][0]["data"] if answer.status == 200 else answer.status


def test_a_worker_that_cannot_be_forked_is_tried_again_and_the_others_serve(folder, no_room):
    with running(folder, "--workers", "2", environ=no_room.environ) as server:
        killed, other = server.workers()
        no_room.on()
        os.kill(killed, signal.SIGKILL)
        server.wait_for(r"ERROR .*A worker could not be started: Resource temporarily unavailable\. The next try is in")
        server.wait_for("A worker could not be started", times=2)
        assert server.workers() == [other]
        assert answer_of(server) == [2]
        no_room.off()
        eventually(lambda: len(server.workers()) == 2)
        assert server.stop() == 0
        assert "Traceback" not in server.output


def test_a_reload_that_cannot_fork_fails_and_the_old_workers_serve(folder, no_room):
    with running(folder, environ=no_room.environ) as server:
        before = server.workers()
        no_room.on()
        server.send(signal.SIGHUP)
        server.wait_for("The reload failed, and the old workers go on: A worker could not be started: Resource")
        assert server.workers() == before
        assert answer_of(server) == [2]
        no_room.off()
        server.send(signal.SIGHUP)
        server.wait_for("Reloaded: new workers serve double")
        eventually(lambda: server.workers_without(before, 1))


def test_a_start_that_cannot_fork_ends_with_1_and_the_reason_last(folder, no_room):
    no_room.on()
    with launched(folder, environ=no_room.environ) as server:
        assert server.wait() == 1
        assert server.lines[-1] == "A worker could not be started: Resource temporarily unavailable."


def test_what_comes_through_the_reports_pipe_and_is_no_report_changes_nothing(folder):
    # A model that closes and opens descriptors at random may write anywhere; this one writes to all pipes.
    write_model(
        folder,
        "wild",
        predict="""import fcntl, stat
for number in range(3, 256):
    try:
        is_pipe = stat.S_ISFIFO(os.fstat(number).st_mode)
        if is_pipe and fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY:
            os.write(number, b'no report\\n{"pid": "x"}\\n[1]\\n')
    except OSError:
        pass
return x""",
    )
    with running(folder, "--workers", "2") as server:
        assert server.post("/v2/models/wild/infer", numbers(1)).status == 200
        server.wait_for("What came through the workers' pipe is no report", times=3)
        os.kill(server.workers()[0], signal.SIGKILL)
        server.wait_for("was killed by SIGKILL .* Another one takes its place")
        eventually(lambda: len(server.workers()) == 2)
        assert server.stop() == 0


def test_a_step_of_the_launcher_that_fails_is_told_once_and_does_not_end_it(folder, no_room):
    (Path(no_room.environ["PYTHONPATH"]) / "sitecustomize.py").write_text(
        "import os, sys\n_waitpid = os.waitpid\n"
        "def waitpid(*given):\n"
        f"    if os.path.exists({str(folder / 'broken')!r}):\n        raise RuntimeError('for now')\n"
        "    return _waitpid(*given)\n"
        "os.waitpid = waitpid\n"
    )
    with running(folder, "--workers", "2", environ=no_room.environ) as server:
        (folder / "broken").touch()
        killed = server.workers()[0]
        os.kill(killed, signal.SIGKILL)
        server.wait_for("The launcher could not learn which workers have ended, and tries again.")
        server.send(signal.SIGUSR2)
        server.wait_for("SIGUSR2 does nothing here")
        assert answer_of(server) == [2]
        (folder / "broken").unlink()
        server.wait_for(rf"A worker \(process {killed}\) was killed by SIGKILL")
        eventually(lambda: len(server.workers()) == 2)
        assert server.output.count("The launcher could not learn which workers have ended") == 1
        assert server.stop() == 0


def test_a_reload_while_the_folder_is_gone_is_refused_and_the_old_workers_serve(folder, tmp_path):
    with running(folder, "--workers", "2") as server:
        before = server.workers()
        folder.rename(tmp_path / "elsewhere")
        server.send(signal.SIGHUP)
        server.wait_for("The reload failed, and the old workers go on: The folder .* is not there")
        folder.mkdir()  # as a mount point is without what was mounted there
        server.send(signal.SIGHUP)
        server.wait_for("The reload failed, and the old workers go on: The folder .* is empty")
        assert server.workers() == before
        assert server.get("/v2/health/ready").status == 200
        assert answer_of(server) == [2]
        folder.rmdir()
        (tmp_path / "elsewhere").rename(folder)
        server.send(signal.SIGHUP)
        server.wait_for("Reloaded: new workers serve double")


def test_a_reload_while_the_models_folder_is_gone_is_refused(folder, tmp_path):
    further = tmp_path / "further"
    write_model(further, "triple", predict="return 3 * x")
    with running(folder, "--models-dir", str(further)) as server:
        shutil.rmtree(further)
        server.send(signal.SIGHUP)
        server.wait_for("The reload failed, and the old workers go on: The models folder .* is not there")
        assert server.post("/v2/models/triple/infer", numbers(1)).status == 200


def test_many_reloads_at_once_are_one_that_runs_and_one_that_follows(folder, tmp_path):
    gate = tmp_path / "gate"
    with running(folder, "--workers", "2") as server:
        wait = f"while not os.path.exists({str(gate)!r}):\n    time.sleep(0.01)"
        write_model(folder, load=f"os.write(1, b'in load\\n')\n{wait}")
        server.send(signal.SIGHUP)
        server.wait_for("^in load$", times=2)
        write_model(folder, predict="return 3 * x")
        for _ in range(9):
            server.send(signal.SIGHUP)
        server.wait_for("Another reload begins when this one has ended and the old workers have gone.")
        assert len(server.workers()) == 4
        gate.touch()
        server.wait_for("Reloaded: ", times=2)
        server.send(signal.SIGUSR2)
        server.wait_for("SIGUSR2 does nothing here")
        eventually(lambda: len(server.workers()) == 2)
        assert answer_of(server) == [3]
        assert server.output.count("Reloading: ") == 2


#: Imported by each Python process at its start: while the file is there, no thread of these names can be started.
NO_THREADS = """
import os, threading

_start = threading.Thread.start

def start(thread):
    if thread.name.startswith({names!r}) and os.path.exists({file!r}):
        raise RuntimeError("can't start new thread")
    return _start(thread)

threading.Thread.start = start
"""


@pytest.fixture(params=["srv-http", "srv-grpc"])
def no_threads(tmp_path, request):
    switch = NoRoom(tmp_path / "site")
    file = Path(switch.environ["PYTHONPATH"]) / "sitecustomize.py"
    file.write_text(NO_THREADS.format(names=request.param, file=str(file.parent / "full")))
    return switch


CANNOT = (
    r"A worker failed while (serving over HTTP|opening its ports|starting): RuntimeError: can't start new thread\.$"
)


def test_a_start_that_fails_beside_or_after_the_models_says_what_failed_last(folder, no_threads):
    no_threads.on()
    with launched(folder, environ=no_threads.environ) as server:
        assert server.wait() == 1
        assert re.search(CANNOT, server.lines[-1])


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_reload_that_fails_after_the_last_model_has_loaded_says_what_failed(folder, no_threads, workers):
    with running(folder, "--workers", workers, environ=no_threads.environ) as server:
        before = server.workers()
        no_threads.on()
        server.send(signal.SIGHUP)
        server.wait_for("The reload failed, and the old workers go on: " + CANNOT)
        eventually(lambda: server.workers() == before)
        assert answer_of(server) == [2]
        no_threads.off()
        server.send(signal.SIGHUP)
        server.wait_for("Reloaded: ")
        assert "tries again" not in server.output


def clean(place):
    """Remove all temporary files, as a cleaner does."""
    for left in place.iterdir():
        shutil.rmtree(left)


def outcomes(server, model="double"):
    """What each worker answers, from the same number of connections as there are requests."""
    return {server.post(f"/v2/models/{model}/infer", numbers(1)).status for _ in range(20)}


def counted(server):
    """How many requests for the model the metrics tell of."""
    pattern = r'srv_requests_total{.*model="double".*outcome="ok".*} (\S+)'
    return sum(float(count) for count in re.findall(pattern, server.get("/metrics").body.decode()))


@pytest.mark.parametrize("whole", [False, True], ids=["what is in it", "TMPDIR itself"])
def test_a_cleaned_folder_of_temporary_files_costs_nothing(folder, tmp_path, whole):
    place = tmp_path / "temporary"
    place.mkdir()
    with running(folder, "--workers", "2", environ={"TMPDIR": str(place)}) as server:
        assert outcomes(server) == {200}
        if whole:
            shutil.rmtree(place)
        else:
            clean(place)

        assert outcomes(server) == {200}
        assert counted(server) == 40
        assert server.post("/v2/repository/models/double/unload", {}).status == 200
        assert outcomes(server) == {503}
        assert server.post("/v2/repository/models/double/load", {}).status == 200
        assert outcomes(server) == {200}

        for killed in server.workers():
            os.kill(killed, signal.SIGKILL)
            server.wait_for(rf"A worker \(process {killed}\) was killed by SIGKILL")
            eventually(lambda killed=killed: killed not in server.workers() and len(server.workers()) == 2)
            eventually(lambda: server.get("/v2/health/ready").status == 200)
        server.send(signal.SIGHUP)
        server.wait_for("Reloaded: new workers serve double")
        assert outcomes(server) == {200}
        eventually(lambda: len(list(place.glob("srv-run-*"))) == 1)
        assert server.stop() == 0
        assert "Traceback" not in server.output
        assert list(place.iterdir()) == []


def test_a_server_that_is_killed_whole_leaves_nothing_to_the_next(folder, tmp_path):
    place = tmp_path / "temporary"
    place.mkdir()
    environ = {"TMPDIR": str(place)}
    with running(folder, environ=environ) as server:
        server.kill()
    (left,) = place.iterdir()
    with running(folder, environ=environ) as server:
        assert not left.exists()
        assert len(list(place.iterdir())) == 1
        assert server.stop() == 0
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("victim", ["the worker that serves", "the worker that still loads"])
def test_a_worker_that_dies_while_others_load_is_replaced_once_one_has_served(tmp_path, victim):
    gate, loading, broken = tmp_path / "gate", tmp_path / "loading", tmp_path / "broken"
    loading.mkdir()
    # The worker that was forked first loads, which takes the clients at the start; the others wait for the gate.
    load = (
        f"if os.path.exists('{broken}'): raise ValueError('not now')\n"
        f"Path('{loading}', str(os.getpid())).touch()\n"
        f"while len(os.listdir('{loading}')) < 2: time.sleep(0.02)\n"
        f"while os.getpid() != min(map(int, os.listdir('{loading}'))) and not os.path.exists('{gate}'): time.sleep(0.02)"
    )
    write_model(tmp_path / "models", load=load)
    with launched(tmp_path / "models", "--workers", "2") as server:
        server.url()
        eventually(lambda: server.get("/v2/health/ready").status == 200)
        eventually(lambda: len(server.workers()) == 2)
        serves = int(server.wait_for(r"\[(\d+)\] srv.models.loader: Model 'double' loaded").group(1))
        (loads,) = set(server.workers()) - {serves}
        broken.touch()
        os.kill(serves if victim == "the worker that serves" else loads, signal.SIGKILL)
        server.wait_for("A worker .* was killed by SIGKILL .* Another one takes its place")
        server.wait_for(
            "A worker is not ready, and tries again: Model 'double' could not be loaded: ValueError: not now"
        )
        broken.unlink()
        gate.touch()
        server.wait_ready()
        assert answer_of(server) == [2]
        assert server.stop() == 0
