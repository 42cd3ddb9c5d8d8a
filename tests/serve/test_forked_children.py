"""Models that fork, on a real server: their children are no workers, and end with it."""

import http.client
import json
import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from servers import PATIENCE, eventually, running

pytestmark = [
    pytest.mark.e2e,
    # Python 3.12 warns of each fork of a process that has threads, which is what these models do.
    pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning"),
]

MODELS = """
import multiprocessing, os, signal, sys, time
from srv import Runtime

FORK = multiprocessing.get_context("fork")

def terminated():
    child = FORK.Process(target=time.sleep, args=(600,))
    child.start()
    child.terminate()
    child.join(30)
    return child.exitcode

def mapped():
    with FORK.Pool(2) as pool:
        return pool.map(abs, [-1, -2])

def stays(daemon):
    child = FORK.Process(target=time.sleep, args=(600,), daemon=daemon)
    child.start()
    return child.pid

def forked():
    pid = os.fork()
    if not pid:
        time.sleep(600)
        os._exit(0)
    return pid

def comes_back(how):
    pid = os.fork()
    if not pid:
        exec(how)
        return "child"
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

class M(Runtime):
    def load(self):
        if self.settings.parameters.extra.get("forks"):
            self.child = stays(True)

    def predict(self, case: list[str]) -> list[str]:
        return [str(eval(case[0]))]

    def predict_stream(self, case: list[str]):
        yield [str(eval(case[0]))]
        yield ["end"]
"""


def write(folder, name="m", **extra):
    place = folder / name
    place.mkdir()
    (place / "models.py").write_text(MODELS)
    settings = {"implementation": "models.M", "parameters": {"extra": extra}}
    (place / "model-settings.json").write_text(json.dumps(settings))


def document(case):
    return {"inputs": [{"name": "case", "datatype": "BYTES", "shape": [1], "data": [case]}]}


def ask(server, case):
    answer = server.post("/v2/models/m/infer", document(case))
    assert answer.status == 200, answer
    return answer.json["outputs"][0]["data"][0]


def runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture(params=["srv", "gthread"])
def server(tmp_path, request):
    write(tmp_path)
    environ = {"SRV_WORKER_CLASS": request.param, "SRV_GRACEFUL_TIMEOUT": "60", "SRV_MODEL_CONTROL": "true"}
    with running(tmp_path, environ=environ) as server:
        yield server


def test_a_child_ends_when_its_process_is_terminated(server):
    assert [ask(server, "terminated()") for _ in range(5)] == [str(-signal.SIGTERM)] * 5


def test_pools_of_forked_processes_answer_and_end(server):
    with ThreadPoolExecutor(4) as threads:
        assert [*threads.map(lambda _: ask(server, "mapped()"), range(24))] == ["[1, 2]"] * 24


def test_a_server_with_children_stops_at_once_and_leaves_none_and_its_ports(server):
    children = [int(ask(server, case)) for case in ("stays(True)", "stays(False)", "forked()")]
    port = urlsplit(server.url()).port
    grpc_port = int(server.wait_for(r"gRPC on [^\s,]*:(\d+)")[1])
    assert all(map(runs, children))

    began = time.monotonic()
    assert server.stop() == 0

    assert time.monotonic() - began < PATIENCE / 2
    assert not any(map(runs, children))
    assert can_listen(port)
    assert can_listen(grpc_port)


def test_a_child_keeps_no_port_when_its_worker_is_killed(server):
    child = int(ask(server, "forked()"))
    port = urlsplit(server.url()).port
    for pid in (server.process.pid, *server.workers()):
        os.kill(pid, signal.SIGKILL)

    eventually(lambda: can_listen(port))

    assert runs(child)


def can_listen(port):
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def test_a_child_keeps_no_connection_open_that_the_worker_closes(server):
    address = urlsplit(server.url())
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=PATIENCE)
    with closing(connection):
        connection.request("POST", "/v2/models/m/infer", json.dumps(document("forked()")), {"Connection": "close"})
        assert connection.sock.recv(65536).startswith(b"HTTP/1.1 200")
        while connection.sock.recv(65536):
            pass


@pytest.mark.parametrize(
    "how, code", [("pass", 0), ("sys.exit(7)", 7), ("sys.exit('so')", 1), ("1 / 0", 1), ("raise KeyboardInterrupt", 1)]
)
def test_a_child_that_comes_back_from_predict_ends_and_answers_nobody(server, how, code):
    assert ask(server, f'comes_back("""{how}""")') == str(code)
    assert ask(server, "'next'") == "next"


def test_a_child_that_comes_back_from_a_stream_ends_and_answers_nobody(server):
    answer = server.post("/v2/models/m/infer_stream", document("comes_back('pass')"))
    events = [json.loads(line[6:]) for line in answer.body.decode().splitlines() if line.startswith("data: ")]
    assert [event["outputs"][0]["data"] for event in events] == [["0"], ["end"]]


def test_a_load_that_forks_leaves_no_lock_with_its_child(server, tmp_path):
    write(tmp_path, "forks", forks=True)
    for _ in range(2):
        for do in ("load", "unload", "load"):
            assert server.post(f"/v2/repository/models/forks/{do}", {}).status == 200
    (worker,) = server.workers()
    os.kill(worker, signal.SIGKILL)  # another one reads under the same locks
    eventually(lambda: server.workers() not in ([worker], []))
    server.wait_for("Model 'forks' loaded", times=5)
