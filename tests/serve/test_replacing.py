"""Workers that are replaced: by a reload, by max_requests, after a crash; and how many there are."""

import json
import os
import signal
import threading
import time

import pytest
from servers import ask, eventually, numbers, running, write_model

from srv.serve import control_socket
from srv.serve.run_directory import control_address

pytestmark = pytest.mark.e2e


def answer_of(server, model="double"):
    answer = server.post(f"/v2/models/{model}/infer", numbers(1))
    return answer.json["outputs"][0]["data"] if answer.status == 200 else answer.status


class Load:
    """Clients that ask all the time, on connections that stay open, and keep what they were answered."""

    def __init__(self, server, clients=4):
        self.wrong = []
        self.right = 0
        self._server = server
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._ends.set()
        for thread in self._threads:
            thread.join()

    def _ask(self):
        body = json.dumps(numbers(1, 2)).encode()
        connection = self._server.connect()
        while not self._ends.is_set():
            try:
                answer = ask(connection, "POST", "/v2/models/double/infer", body)
            except ConnectionError as error:
                # An idle connection that the server closed without a byte: what every client tries once more.
                connection.close()
                connection = self._server.connect()
                try:
                    answer = ask(connection, "POST", "/v2/models/double/infer", body)
                except OSError:
                    self.wrong.append(error)
                    continue
            if answer.status == 200:
                self.right += 1
            else:
                self.wrong.append(answer)
        connection.close()


def test_sighup_brings_new_code_and_loses_no_request(tmp_path):
    place = write_model(tmp_path, predict="return 2 * x")
    with running(tmp_path, "--workers", "2") as server:
        before = server.workers()
        with Load(server) as load:
            eventually(lambda: load.right > 50)
            write_model(tmp_path, predict="return 3 * x")
            server.send(signal.SIGHUP)
            server.wait_for("Reloaded: new workers serve double")
            seen = load.right
            eventually(lambda: load.right > seen + 50)
        assert load.wrong == []
        eventually(lambda: not set(before).intersection(server.workers()))
        assert len(server.workers()) == 2
        assert answer_of(server) == [3]
        assert (place / "models.py").exists()


def test_sighup_brings_models_that_have_appeared(tmp_path):
    write_model(tmp_path, "double")
    with running(tmp_path) as server:
        write_model(tmp_path, "triple", predict="return 3 * x")
        server.send(signal.SIGHUP)
        server.wait_for("Reloaded: new workers serve double, triple")
        eventually(lambda: answer_of(server, "triple") == [3])


@pytest.mark.parametrize(
    "load, reason",
    [
        ("raise ValueError('new and broken')", "ValueError: new and broken"),
        ("os._exit(5)", "A worker ended with exit code 5 while loading model double"),
    ],
    ids=["raises", "dies"],
)
def test_a_reload_that_fails_leaves_the_old_workers_serving_and_says_why(tmp_path, load, reason):
    write_model(tmp_path)
    with running(tmp_path, "--workers", "2") as server:
        before = server.workers()
        write_model(tmp_path, load=load, predict="return 3 * x")
        server.send(signal.SIGHUP)
        said = server.wait_for("The reload failed, and the old workers go on: (.*)")
        assert reason in said.group(1)
        eventually(lambda: server.workers() == before)
        assert answer_of(server) == [2]
        assert server.get("/v2/health/ready").status == 200

        write_model(tmp_path, predict="return 4 * x")
        server.send(signal.SIGHUP)
        server.wait_for("Reloaded: ")
        eventually(lambda: answer_of(server) == [4])


def test_a_reload_that_never_ends_gives_way_to_the_next_after_load_timeout(tmp_path):
    os.mkfifo(tmp_path / "gate")
    (tmp_path / "settings.json").write_text(json.dumps({"load_timeout": 2}))
    write_model(tmp_path)
    with running(tmp_path) as server:
        write_model(tmp_path, load=f"os.write(1, b'in load\\n')\nPath('{tmp_path}/gate').read_text()")
        server.send(signal.SIGHUP)
        server.wait_for("^in load$")
        write_model(tmp_path, predict="return 3 * x")
        server.send(signal.SIGHUP)
        server.wait_for(r"The reload failed, and the old workers go on: It did not end within 2 s \(load_timeout\)")
        server.wait_for("Reloaded: ")
        eventually(lambda: len(server.workers()) == 1)
        assert answer_of(server) == [3]


def test_sighup_during_the_first_load_is_taken_up_afterwards(tmp_path):
    write_model(tmp_path, load="os.write(1, b'in load\\n')\ntime.sleep(1)")
    with running(tmp_path) as server:
        server.send(signal.SIGHUP)
        server.wait_for("Reloaded: ")


def test_a_server_that_is_told_to_end_during_a_reload_ends(tmp_path):
    os.mkfifo(tmp_path / "gate")
    write_model(tmp_path)
    with running(tmp_path) as server:
        write_model(tmp_path, load=f"os.write(1, b'in load\\n')\nPath('{tmp_path}/gate').read_text()")
        server.send(signal.SIGHUP)
        server.wait_for("^in load$")
        assert server.stop(timeout=10) == 0


def test_a_worker_that_is_killed_is_replaced_by_one_with_the_same_models(tmp_path):
    write_model(tmp_path, "double", predict="return 0 * x + os.getpid()")
    with running(tmp_path, "--workers", "2") as server:
        write_model(tmp_path, "appeared")
        killed = server.workers()[0]
        os.kill(killed, signal.SIGKILL)
        server.wait_for(rf"A worker \(process {killed}\) was killed by SIGKILL \(out of memory\?\)\. Another one takes")
        models = {}

        def both_have_told():
            connection = server.connect()  # which stays with the worker that accepted it
            answer = ask(connection, "POST", "/v2/models/double/infer", json.dumps(numbers(1)).encode())
            if answer.status == 200:
                told = ask(connection, "GET", "/v2/models").json
                models[answer.json["outputs"][0]["data"][0]] = told
            connection.close()
            return len(models) == 2

        eventually(both_have_told)
        assert killed not in models
        assert list(models.values()) == [{"models": ["double"]}] * 2


def test_a_worker_that_crashes_in_predict_is_replaced_and_the_server_goes_on(tmp_path):
    write_model(tmp_path, predict="os._exit(9) if x[0] == 9 else None\nreturn 2 * x")
    with running(tmp_path) as server:
        with pytest.raises(OSError):
            server.post("/v2/models/double/infer", numbers(9))
        server.wait_for("ended with exit code 9. Another one takes its place.$")
        eventually(lambda: server.get("/v2/health/ready").status == 200)
        with pytest.raises(OSError):
            server.post("/v2/models/double/infer", numbers(9))
        server.wait_for("Another one takes its place in 1 s.")
        eventually(lambda: server.get("/v2/health/ready").status == 200)
        assert answer_of(server) == [2]


def test_a_replacement_that_cannot_load_is_unready_and_tries_again(tmp_path):
    write_model(tmp_path)
    with running(tmp_path) as server:
        write_model(tmp_path, load="raise ValueError('for now')")
        os.kill(server.workers()[0], signal.SIGKILL)
        server.wait_for("A worker is not ready, and tries again: .*ValueError: for now")
        assert server.get("/v2/health/live").status == 200
        assert server.get("/v2/health/ready").status == 503
        write_model(tmp_path)
        eventually(lambda: server.get("/v2/health/ready").status == 200)
        assert answer_of(server) == [2]


def test_after_max_requests_a_successor_is_there_before_the_worker_goes(tmp_path):
    write_model(tmp_path)
    (tmp_path / "settings.json").write_text(json.dumps({"max_requests": 100}))
    with running(tmp_path) as server:
        (before,) = server.workers()
        with Load(server) as load:
            eventually(lambda: before not in server.workers())
        assert load.wrong == []
        assert load.right >= 100


def test_ttin_and_ttou_add_and_remove_a_worker(tmp_path):
    write_model(tmp_path)
    with running(tmp_path) as server:
        server.send(signal.SIGTTIN)
        eventually(lambda: len(server.workers()) == 2)
        server.send(signal.SIGTTOU)
        eventually(lambda: len(server.workers()) == 1)
        assert answer_of(server) == [2]
        assert server.stop() == 0


def test_a_worker_that_holds_the_interpreter_for_too_long_is_killed_and_shows_where(tmp_path):
    (tmp_path / "settings.json").write_text(json.dumps({"worker_timeout": 2}))
    hold = "import ctypes\nctypes.PyDLL(None).sleep(60) if x[0] == 9 else None\nreturn 2 * x"
    write_model(tmp_path, predict=hold)
    with running(tmp_path) as server:
        started = time.monotonic()
        with pytest.raises(OSError):
            server.post("/v2/models/double/infer", numbers(9))
        assert time.monotonic() - started < 20
        server.wait_for("was killed because it did not respond for 2 s")
        assert "in predict" in server.output
        eventually(lambda: answer_of(server) == [2])


def test_a_server_that_was_stopped_and_continued_keeps_its_workers(tmp_path):
    (tmp_path / "settings.json").write_text(json.dumps({"worker_timeout": 2}))
    with running(tmp_path, "--workers", "2") as server:
        before = server.workers()
        os.killpg(server.process.pid, signal.SIGSTOP)
        time.sleep(3)  # longer than worker_timeout
        os.killpg(server.process.pid, signal.SIGCONT)
        assert server.get("/v2/health/ready").status == 200
        server.send(signal.SIGUSR2)
        server.wait_for("SIGUSR2 does nothing here")  # the master has looked around since
        assert server.stop() == 0
        assert "did not respond" not in server.output
        assert len(before) == 2


def test_each_worker_is_reached_by_its_socket_and_knows_its_generation(tmp_path, short_path):
    place = short_path / "temporary"
    place.mkdir()
    write_model(tmp_path / "models")
    with running(tmp_path / "models", "--workers", "2", environ={"TMPDIR": str(place)}) as server:
        (directory,) = place.glob("srv-*")

        def told():
            addresses = [control_address(directory, pid) for pid in server.workers()]
            answers = [control_socket.ask(address, {"ask": "state"}) for address in addresses]
            return {answer["pid"]: answer["generation"] for answer in answers}

        assert told() == dict.fromkeys(server.workers(), 1)
        old = server.workers()
        server.send(signal.SIGHUP)
        server.wait_for("Reloaded: ")
        eventually(lambda: not set(old).intersection(server.workers()))
        eventually(lambda: told() == dict.fromkeys(server.workers(), 2))
        assert server.stop() == 0
    assert list(place.iterdir()) == []


def test_sigusr1_shows_where_every_thread_is(tmp_path):
    write_model(tmp_path)
    with running(tmp_path) as server:
        server.send(signal.SIGUSR1)
        server.wait_for("(Current thread|Thread) 0x")
        assert answer_of(server) == [2]
