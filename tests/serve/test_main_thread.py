"""Models that load in a worker's main thread, on real servers with either HTTP worker."""

import json
import signal
import time
from textwrap import dedent

import pytest
from speaking import FORMS, Line

from srv import InferenceRequest, Tensor
from srv.testing import Server, srv_server

pytestmark = pytest.mark.e2e

REST, *_, GRPC = FORMS

MODELS = """
    import signal, sqlite3, threading, time
    from srv import Runtime

    class InMain(Runtime):
        main_thread = True
        def load(self):
            self.places = [threading.current_thread() is threading.main_thread()]
            self.version_ = self.artifact("version.txt").read_text()
            if self.settings.parameters.extra.get("deaf"):
                for name in ("SIGTERM", "SIGQUIT", "SIGUSR2"):
                    signal.signal(getattr(signal, name), self.rings)
            if self.version_ == "slow":
                (self.settings.folder / "slow.log").touch()
                time.sleep(self.settings.parameters.extra["seconds"])
            for name in ("SIGALRM", "SIGTERM", "SIGUSR1", "SIGINT"):
                signal.signal(getattr(signal, name), self.rings)
        def rings(self, number, frame):
            pass
        def predict(self, x: list[str]) -> list[str]:
            alarm = signal.getsignal(signal.SIGALRM) == self.rings
            return [f"{self.version_} {self.places} {alarm} {signal.getsignal(signal.SIGTERM) == self.rings}"]
        def unload(self):
            place = threading.current_thread() is threading.main_thread()
            with open(self.settings.folder / "unloaded.log", "a") as log:
                log.write(f"{place}\\n")

    class Same(Runtime):
        same_thread = True
        def load(self):
            self.db = sqlite3.connect(":memory:")
            self.db.execute("create table seen (x)")
        def predict(self, x: list[str]) -> list[str]:
            self.db.execute("insert into seen values (?)", x)
            return [x for x, in self.db.execute("select max(x) from seen")]
        def unload(self):
            self.db.close()
"""


def write(folder, version="first", seconds=60.0, *, deaf=False):
    for name, runtime in {"main": "InMain", "same": "Same"}.items():
        place = folder / name
        place.mkdir(exist_ok=True)
        (place / "models.py").write_text(dedent(MODELS))
        (place / "version.txt").write_text(version)
        settings = {"implementation": f"models.{runtime}", "parameters": {"extra": {"seconds": seconds, "deaf": deaf}}}
        (place / "model-settings.json").write_text(json.dumps(settings))


def ask(line, form, model):
    return form.infer(line, model, InferenceRequest([Tensor("x", ["a"])])).good["output"].tolist()[0].decode()


@pytest.fixture(params=["srv", "gthread"])
def worker_class(request):
    return request.param


def test_load_and_unload_run_in_the_workers_main_thread_and_its_signals_stay_its_own(tmp_path, worker_class):
    write(tmp_path)

    with srv_server(tmp_path, settings={"worker_class": worker_class, "workers": 2, "model_control": True}) as server:
        line = Line(server.url, server.grpc_address)
        for form in (REST, GRPC):
            assert ask(line, form, "main") == "first [True] True False"
            assert ask(line, form, "same") == "a"
        (server.folder / "main" / "version.txt").write_text("second")
        assert server.post("/v2/repository/models/main/load", {}).status == 200
        for form in (REST, GRPC) * 4:
            assert ask(line, form, "main") == "second [True] True False"
        line.close()
        unloaded = server.folder / "main" / "unloaded.log"
        assert unloaded.read_text() == "True\n" * 2
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 10
        assert unloaded.read_text() == "True\n" * 4

    assert "A model has set a handler for SIGTERM, which tells this worker what to do" in server.logs


def test_a_worker_whose_main_thread_loads_for_long_is_not_taken_for_dead(tmp_path, worker_class):
    write(tmp_path, "slow", seconds=4.0)

    with srv_server(tmp_path, settings={"worker_class": worker_class, "worker_timeout": 2}) as server:
        line = Line(server.url, server.grpc_address)
        assert ask(line, REST, "main") == "slow [True] True False"
        line.close()

    assert server.logs.count("Model 'main' loaded in 4") == 1


@pytest.mark.parametrize("deaf", [False, True], ids=["", "with handlers of its own"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_server_that_is_stopped_while_its_main_thread_loads_ends_at_once(tmp_path, worker_class, number, deaf):
    write(tmp_path, "slow", deaf=deaf)
    (tmp_path / "settings.json").write_text(json.dumps({"worker_class": worker_class, "graceful_timeout": 50}))
    server = Server(tmp_path)
    try:
        end = time.monotonic() + 60
        while not (tmp_path / "main" / "slow.log").exists():
            assert time.monotonic() < end, server.logs
            time.sleep(0.02)
        began = time.monotonic()
        server.process.send_signal(number)
        server.process.wait(60)
        assert time.monotonic() - began < 20, server.logs
    finally:
        server.kill()
