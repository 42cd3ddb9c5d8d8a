"""Workers whose threads hang: the log names the models, and the worker is unready or replaced."""

import json
import os
import signal
import threading
from contextlib import contextmanager, suppress

import grpc
import pytest
from servers import eventually, launched
from speaking import FORMS, Line

from srv import InferenceRequest, Tensor

pytestmark = pytest.mark.e2e

REST, *_, GRPC = FORMS
THREADS = 2

MODELS = """
import logging, os, threading, time
from pathlib import Path
from srv import Runtime

def hang(place):
    while not Path(place).exists():  # the line at which it hangs
        time.sleep(0.01)

class Hangs(Runtime):
    def predict(self, x: list[str]) -> list[str]:
        if x[0]:
            hang(x[0])
        return [str(os.getpid())]

class One(Hangs):
    concurrency = 1

class Same(Hangs):
    same_thread = True

class Blocks(Runtime):
    async def load(self):
        time.sleep(self.settings.parameters.extra.get("load", 0))
    async def predict(self, x: list[str]) -> list[str]:
        if x[0]:
            hang(x[0])
        return [str(os.getpid())]

class Logs(Hangs):
    def predict(self, x: list[str]) -> list[str]:
        if x[0]:
            class Slow(logging.Handler):
                def emit(self, record):
                    if "health/live" in record.getMessage():
                        hang(x[0])
            logging.getLogger().addHandler(Slow())
        return [str(os.getpid())]
"""


@contextmanager
def serving(folder, *, extra=None, **settings):
    for name in ("Hangs", "One", "Same", "Blocks", "Logs"):
        place = folder / "models" / name.lower()
        place.mkdir(parents=True)
        (place / "models.py").write_text(MODELS)
        written = {"implementation": f"models.{name}", "parameters": {"extra": extra or {}}}
        (place / "model-settings.json").write_text(json.dumps(written))
    environ = {"THREADS": THREADS, "GRPC_THREADS": THREADS, "REQUEST_TIMEOUT": 1, "STUCK_TIMEOUT": 1, "LOAD_TIMEOUT": 5}
    environ |= {"GRACEFUL_TIMEOUT": 1} | {name.upper(): value for name, value in settings.items()}
    with launched(folder / "models", environ={f"SRV_{name}": str(value) for name, value in environ.items()}) as server:
        server.wait_ready()
        yield server


@contextmanager
def line_to(server):
    line = Line(server.url(), server.wait_for(r"gRPC on ([^\s,]+)")[1])
    try:
        yield line
    finally:
        line.close()


def ask(server, form, model, place=""):
    with line_to(server) as line:
        return form.infer(line, model, InferenceRequest([Tensor("x", [str(place)])]))


def hang(server, form, model, place, times=THREADS):
    """Have so many requests hang, and come back when their clients have their answers, or have given up."""

    def run():
        with suppress(grpc.RpcError, OSError, AssertionError):
            ask(server, form, model, place)

    threads = [threading.Thread(target=run, daemon=True) for _ in range(times)]
    for thread in threads:
        thread.start()


def ready(server):
    return server.get("/v2/health/ready")


@pytest.mark.parametrize("worker_class", ["srv", "gthread"])
def test_a_worker_without_a_free_thread_is_unready_until_it_has_one(tmp_path, worker_class):
    with serving(tmp_path, on_stuck="unready", worker_class=worker_class) as server:
        (worker,) = server.workers()
        hang(server, GRPC, "hangs", tmp_path / "released")
        server.wait_for("This worker is stuck, and it is unready until that changes: all 2 threads for gRPC hang")
        answer = ready(server)
        assert answer.status == 503
        assert "of model 'hangs'" in answer.json["error"]
        server.wait_for(r"Model 'hangs': .*hangs? for .*models.py:\d+ in hang")

        (tmp_path / "released").touch()
        server.wait_for("This worker is stuck no longer.")
        assert ready(server).status == 200
        assert ask(server, GRPC, "hangs").good["output"].tolist() == [str(worker).encode()]
        assert server.workers() == [worker]


@pytest.mark.parametrize("worker_class", ["srv", "gthread"])
@pytest.mark.parametrize("form", [REST, GRPC], ids=["rest", "grpc"])
def test_a_worker_without_a_free_thread_is_replaced(tmp_path, form, worker_class):
    with serving(tmp_path, worker_class=worker_class) as server:
        (worker,) = server.workers()
        hang(server, form, "hangs", tmp_path / "never")
        face = "HTTP" if form is REST else "gRPC"
        server.wait_for(f"This worker is stuck, and another one is to take its place: all 2 threads for {face} hang")

        (fresh,) = eventually(lambda: server.workers_without([worker], 1))
        assert ask(server, form, "hangs").good["output"].tolist() == [str(fresh).encode()]
        assert ready(server).status == 200
        assert server.stop() == 0


@pytest.mark.parametrize("model", ["one", "same"])
def test_a_model_whose_only_thread_hangs_is_named_and_costs_no_worker(tmp_path, model):
    with serving(tmp_path) as server:
        workers = server.workers()
        hang(server, REST, model, tmp_path / "never", times=1)
        server.wait_for(rf"Model '{model}': a request hangs for .*It stands at .*models.py:\d+ in hang")
        assert ready(server).status == 200
        assert server.workers() == workers
    assert "is stuck" not in server.output


@pytest.mark.parametrize("worker_class", ["srv", "gthread"])
def test_a_worker_whose_event_loop_hangs_is_replaced_and_the_log_says_so(tmp_path, worker_class):
    with serving(tmp_path, worker_timeout=2, worker_class=worker_class) as server:
        (worker,) = server.workers()
        hang(server, REST, "blocks", tmp_path / "never", times=1)
        server.wait_for("the event loop of the async models did not answer for 2 s")
        eventually(lambda: server.workers_without([worker], 1))
        eventually(lambda: ready(server).status == 200)
        assert ask(server, REST, "blocks").good


def test_an_async_load_may_block_the_event_loop_longer_than_worker_timeout(tmp_path):
    with serving(tmp_path, worker_timeout=2, extra={"load": 7}) as server:
        assert ask(server, REST, "blocks").good
    assert "did not answer" not in server.output


def test_a_worker_whose_leader_hangs_is_replaced_and_the_log_says_so(tmp_path):
    with serving(tmp_path, worker_timeout=2) as server:
        (worker,) = server.workers()
        assert ask(server, REST, "logs", tmp_path / "never").good
        connection = server.connect()
        connection.request("GET", "/v2/health/live")
        server.wait_for("the thread that leads for HTTP did not look around for 2 s")
        eventually(lambda: server.workers_without([worker], 1))
        connection.close()
        eventually(lambda: ready(server).status == 200)


def test_a_worker_that_was_stopped_for_a_while_is_not_taken_for_stuck(tmp_path):
    with serving(tmp_path, worker_timeout=2) as server:
        (worker,) = server.workers()
        for sig in (signal.SIGSTOP, signal.SIGCONT):
            for pid in (server.process.pid, worker):
                os.kill(pid, sig)
            if sig == signal.SIGSTOP:
                threading.Event().wait(6)
        assert ask(server, REST, "blocks").good
        assert server.workers() == [worker]
    assert "gives no sign" not in server.output
