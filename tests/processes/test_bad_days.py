"""Bad days of model processes: however one dies or hangs, requests are answered, another one comes, and all is given back."""

import json
import os
import re
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from process_servers import model_processes, pid_of, supervisor_of, workers_of, write
from servers import eventually, running

pytestmark = pytest.mark.e2e

CODE = """
import ctypes
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
from srv import Runtime

FOLDER = Path(__file__).parent


class Model(Runtime):
    def predict(self, x: np.ndarray, how: str = "") -> np.ndarray:
        match how:
            case "SIGSEGV":
                ctypes.string_at(0)
            case "SIGKILL":
                os.kill(os.getpid(), signal.SIGKILL)
            case "exit":
                os._exit(7)
            case "closes":
                os.closerange(3, 1000)
                time.sleep(60)
            case "flood":
                for _ in range(20_000):
                    print("flood" * 20)
                    sys.stderr.write("flood" * 20 + "\\n")
            case "fork":
                if os.fork() == 0:
                    time.sleep(300)
            case "sleep":
                (FOLDER / "entered").touch()
                time.sleep(float(x[0]))
            case "locked":
                (FOLDER / "entered").touch()
                ctypes.PyDLL(None).sleep(int(x[0]))
        return 2 * x

    def predict_stream(self, x: np.ndarray):
        while True:
            yield x
            time.sleep(0.01)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write(folder, "model", CODE, process=True, request_timeout=2.0)
    write(folder, "twins", CODE, process={"count": 2}, request_timeout=2.0)
    write(folder, "late", CODE, process=True, request_timeout=0.5)
    (folder / "settings.json").write_text(json.dumps({"stuck_timeout": 1.0}))
    return folder


@pytest.fixture(scope="module")
def server(folder):
    with running(folder, "--workers", "2", "--threads", "50", "--no-access-log") as server:
        url = server.url()
        server.url = lambda: url  # because it would be looked for in the lines of a flood for each request
        yield server


def document(value, how=""):
    inputs = [{"name": "x", "datatype": "FP64", "shape": [1], "data": [value]}]
    if how:
        inputs.append({"name": "how", "datatype": "BYTES", "shape": [1], "data": [how]})
    return {"inputs": inputs}


def ask(server, value=1.0, how="", *, model="model"):
    return server.post(f"/v2/models/{model}/infer", document(value, how))


def serves(server):
    """Wait until every worker answers again."""
    eventually(lambda: all(ask(server).status == 200 for _ in range(20)))


def fresh(server):
    """Load the model again, because a process that has died often is not replaced at once; return its process."""
    before = model_processes(server)
    assert server.request("POST", "/v2/repository/models/model/load").status == 200
    eventually(lambda: len(model_processes(server)) == 1 and model_processes(server) != before)
    serves(server)
    return pid_of(server)


def reason(server):
    """What a worker's index says of the model, as soon as it says something."""
    return eventually(lambda: index(server)["reason"])


def index(server):
    """What a worker's index says of the model."""
    rows = server.request("POST", "/v2/repository/index").json
    return next(row for row in rows if row["name"] == "model")


def descriptors(pid):
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def open_streams(server):
    """How many streams the workers have, by their metrics."""
    shown = re.findall(r"^srv_streams\S* (\S+)$", server.get("/metrics").body.decode(), re.MULTILINE)
    return sum(map(float, shown))


def no_more(server, pids, before, *, but=1):
    """Whether processes have no more descriptors than before, but for connections and memory that are kept for a while."""
    ask(server)  # so that threads look at what has ended
    return all(descriptors(pid) <= count + but for pid, count in zip(pids, before, strict=True))


class Clients:
    """Clients that ask again and again, and count how each request ended."""

    def __init__(self, server, count=4, *, model="model"):
        self._model = model
        self.ends = Counter()
        self.times = []
        self._server = server
        self._over = threading.Event()
        self._guard = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(count)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        eventually(lambda: self.ends["right"] > 20)
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def outage(self):
        """Seconds from the first request that was not answered to the last one."""
        return self.times[-1] - self.times[0] if self.times else 0.0

    def _run(self, number):
        value = float(number)
        while not self._over.is_set():
            value += 10
            try:
                answer = ask(self._server, value, model=self._model)
            except OSError:
                end = "lost"
            else:
                end = str(answer.status)
                if answer.status == 200:
                    end = "right" if answer.json["outputs"][0]["data"] == [2 * value] else "wrong"
            with self._guard:
                self.ends[end] += 1
                if end != "right":
                    self.times.append(time.monotonic())


@pytest.mark.parametrize(
    "how, said",
    [
        ("SIGSEGV", "was killed by SIGSEGV"),
        ("SIGKILL", "was killed by SIGKILL (out of memory?)"),
        ("exit", "ended with exit code 7"),
    ],
)
def test_however_a_process_dies_its_request_and_the_log_say_so_and_another_one_comes(server, how, said):
    before = fresh(server)
    with Clients(server) as clients:
        answer = ask(server, 1.0, how)
        assert (answer.status, answer.json["code"]) == (503, "UNAVAILABLE")
        assert said in answer.json["error"]
        assert "retry-after" in {name.lower() for name in answer.headers}
        serves(server)
    assert set(clients.ends) <= {"right", "503"}
    server.wait_for(
        rf"The process of model 'model' \(process {before}\) {re.escape(said)}\. Another one takes its place"
    )
    assert pid_of(server) != before


def test_of_two_processes_the_other_one_serves_while_one_is_replaced(server):
    eventually(lambda: len(model_processes(server, "twins")) == 2)
    gone, stays = model_processes(server, "twins")
    with Clients(server, model="twins") as clients:
        os.kill(gone, signal.SIGKILL)
        eventually(lambda: len(model_processes(server, "twins")) == 2 and gone not in model_processes(server, "twins"))
    assert clients.ends["503"] <= 4
    assert set(clients.ends) <= {"right", "503"}
    assert stays in model_processes(server, "twins")


def test_of_two_processes_the_one_that_is_stopped_gets_no_requests(server):
    eventually(lambda: len(model_processes(server, "twins")) == 2)
    stopped = model_processes(server, "twins")[0]
    os.kill(stopped, signal.SIGSTOP)
    try:
        eventually(lambda: all(ask(server, model="twins").status == 200 for _ in range(40)))
    finally:
        with suppress(ProcessLookupError):  # where it was killed, because a request hung in it
            os.kill(stopped, signal.SIGCONT)


def test_the_index_says_why_a_model_is_down_while_it_is(server):
    before = fresh(server)
    os.kill(before, signal.SIGSTOP)  # so that it cannot be said to have come back in between
    os.kill(before, signal.SIGKILL)
    assert reason(server).startswith("its process was killed by SIGKILL")
    serves(server)
    assert (index(server)["state"], index(server)["reason"]) == ("READY", "")


def test_a_crash_shows_where_it_was_as_one_record_of_the_log(server):
    fresh(server)
    assert ask(server, 1.0, "SIGSEGV").status == 503
    server.wait_for(r"Where the threads of the process of model 'model' \(process \d+\) are:")
    server.wait_for(r"^\| .*models\.py\", line \d+ in predict")
    serves(server)


def test_a_sync_predict_past_its_deadline_is_answered_in_time_and_costs_the_process_its_life(server):
    before = fresh(server)
    began = time.monotonic()
    answer = ask(server, 300.0, "sleep")
    assert (answer.status, answer.json["error"]) == (504, "The request was not answered within its 2 seconds.")
    assert time.monotonic() - began < 10
    eventually(lambda: model_processes(server) not in ([], [before]))
    server.wait_for(
        rf"\(process {before}\) was killed because a request hangs past the deadline by more than 1 s \(stuck_timeout\), at .*models\.py:\d+ in predict"
    )
    serves(server)


def test_a_hang_in_c_that_holds_the_interpreter_lock_costs_the_process_its_life_too(server):
    before = fresh(server)
    assert ask(server, 300.0, "locked").status == 504
    server.wait_for(rf"\(process {before}\) was killed because .*stuck_timeout\), and it does not react")
    serves(server)


def test_a_process_that_closes_its_descriptors_is_replaced(server):
    before = fresh(server)
    answer = ask(server, 1.0, "closes")
    assert (answer.status, answer.json["code"]) in ((503, "UNAVAILABLE"), (504, "DEADLINE"))
    eventually(lambda: model_processes(server) not in ([], [before]))
    serves(server)


def test_a_flood_of_output_holds_nothing_up(server):
    before = fresh(server)
    with Clients(server) as clients:
        assert ask(server, 1.0, "flood").status in (200, 504)
    assert set(clients.ends) == {"right"}
    assert pid_of(server) == before


def test_children_of_a_process_end_with_it(server):
    before = fresh(server)
    assert ask(server, 1.0, "fork").status == 200
    (child,) = eventually(
        lambda: [
            int(each) for each in Path(f"/proc/{before}/task").glob("*/children") for each in each.read_text().split()
        ]
    )
    os.kill(before, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{child}").exists())
    serves(server)


def test_a_thousand_deadlines_pass_and_leave_nothing(server):
    serves(server)
    pid = pid_of(server, "late")
    before = [descriptors(each) for each in (pid, *workers_of(server))]

    def late(_):
        return ask(server, 0.7, "sleep", model="late").status

    with ThreadPoolExecutor(100) as pool:
        ends = Counter(pool.map(late, range(1000)))
    assert set(ends) == {504}
    serves(server)
    assert pid_of(server, "late") == pid
    eventually(lambda: no_more(server, (pid, *workers_of(server)), before, but=10))


def test_a_client_that_leaves_in_mid_stream_ends_it_in_the_process(server):
    pid = fresh(server)
    connections = []
    for _ in range(4):
        connection = server.connect()
        connection.request("POST", "/v2/models/model/infer_stream", json.dumps(document(1.0)))
        response = connection.getresponse()
        response.read(100)
        connections.append((connection, response))
    for connection, response in connections:
        connection.sock.close()
        response.close()
    eventually(lambda: open_streams(server) == 0)
    assert pid_of(server) == pid
    serves(server)


def test_a_worker_that_dies_with_requests_in_a_process_leaves_it_to_the_others(server, folder):
    pid = fresh(server)
    (folder / "model" / "entered").unlink(missing_ok=True)
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(ask, server, 0.9, "sleep") for _ in range(4)]
        eventually((folder / "model" / "entered").exists)
        gone = workers_of(server)[0]
        os.kill(gone, signal.SIGKILL)
        for each in waiting:
            error = each.exception()
            assert error is not None or each.result().status == 200
    eventually(lambda: len(workers_of(server)) == 2 and gone not in workers_of(server))
    serves(server)
    assert pid_of(server) == pid


def test_a_supervisor_that_dies_is_replaced_and_the_models_with_it(server):
    pid = fresh(server)
    before = supervisor_of(server)
    with Clients(server) as clients:
        os.kill(before, signal.SIGKILL)
        eventually(lambda: not Path(f"/proc/{pid}").exists())
        serves(server)
    assert set(clients.ends) <= {"right", "503"}
    assert supervisor_of(server) != before


def test_descriptors_and_processes_come_back_after_every_death(server):
    fresh(server)
    workers, supervisor = workers_of(server), supervisor_of(server)
    before = [descriptors(each) for each in (*workers, supervisor)]
    for _ in range(3):
        pid = pid_of(server)
        os.kill(pid, signal.SIGKILL)
        eventually(lambda pid=pid: model_processes(server) not in ([], [pid]))
        serves(server)
    eventually(lambda: no_more(server, (*workers, supervisor), before))
    assert len(model_processes(server)) == 1


def test_a_reload_fails_no_request_and_a_broken_one_changes_nothing(server, folder):
    serves(server)
    before = pid_of(server)
    code = (folder / "model" / "models.py").read_text()
    with Clients(server) as clients:
        assert server.request("POST", "/v2/repository/models/model/load").status == 200
        eventually(lambda: model_processes(server) not in ([], [before]) and len(model_processes(server)) == 1)
        after = pid_of(server)
        (folder / "model" / "models.py").write_text("1/0")
        refused = server.request("POST", "/v2/repository/models/model/load")
        (folder / "model" / "models.py").write_text(code)
        serves(server)
        server.send(signal.SIGHUP)
        server.wait_for("Reloaded: new workers serve late, model, twins")
        eventually(lambda: model_processes(server) not in ([], [after]) and len(model_processes(server)) == 1)
        serves(server)
    assert set(clients.ends) == {"right"}
    assert (refused.status, refused.json["code"]) == (400, "LOAD_FAILED")
    assert "ZeroDivisionError: division by zero" in refused.json["error"]


def test_an_unloaded_model_has_no_process_and_a_loaded_one_has_a_new_one(server):
    serves(server)
    before = pid_of(server)
    assert server.request("POST", "/v2/repository/models/model/unload").status == 200
    eventually(lambda: model_processes(server) == [])
    assert ask(server).status == 503
    assert server.request("POST", "/v2/repository/models/model/load").status == 200
    serves(server)
    assert pid_of(server) != before
