"""Metrics that models report, over several workers, reloads and a killed worker: what the clients have counted."""

import os
import re
import signal
import threading
from collections import Counter

import pytest
from servers import eventually, numbers, running, write_model

from srv.serve.run_folder import memory_place, run_place

pytestmark = pytest.mark.e2e

MODULE = """\
import os
import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import GaugeMetricFamily
from srv import Runtime

ROWS = Counter("my_rows", "Rows.", ["parity"])
LIVE = Gauge("my_live", "Workers that have answered.", multiprocess_mode="livesum")

class Pid:
    def collect(self):
        yield GaugeMetricFamily("my_pid", "The worker that answers.", value=os.getpid())

class Model(Runtime):
    def load(self) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(Pid())

    def predict(self, x: np.ndarray) -> np.ndarray:
        parity = str(len(x) % 2)
        if len(x) == 7 and os.fork() == 0:
            self.metric("rows", 100, kind="counter", parity=parity)
            os._exit(0)
        self.metric("rows", len(x), kind="counter", parity=parity)
        self.metric("size", len(x), kind="histogram", buckets=(1, 2, 4))
        self.metric("last", len(x))
        ROWS.labels(parity).inc(len(x))
        LIVE.set(1)
        return 2 * x
"""


class Clients:
    """Clients that ask until they are told to stop, and count what was answered."""

    def __init__(self, server):
        self._server = server
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(rows,)) for rows in (1, 2, 3, 4)]
        self.answered = []
        self.failed = []

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, rows):
        while not self._stop.is_set():
            try:
                answer = self._server.post("/v2/models/double/infer", numbers(*range(rows)))
            except (OSError, EOFError) as error:
                self.failed.append(error)
            else:
                (self.answered if answer.status == 200 else self.failed).append(rows)

    def go_on(self, count=40):
        """Wait until so many more have been answered."""
        wanted = len(self.answered) + count
        eventually(lambda: len(self.answered) >= wanted)


def told(server):
    """Return what the server tells of the model's metrics, over parities, and who has told a gauge."""
    text = server.get("/metrics").body.decode()
    found = re.findall(r"^(?:srv_model|my)_(rows_total|size_count|size_sum)(\{[^}]*\}) (\S+)$", text, re.MULTILINE)
    sums = Counter()
    for name, labels, value in found:
        sums[name if "model=" in labels else f"my {name}"] += float(value)
    gauges = re.findall(r'^srv_model_last\{[^}]*worker="(\d+)"\}', text, re.MULTILINE)
    return dict(sums), {int(worker) for worker in gauges}


def expected(rows):
    return {"rows_total": sum(rows), "size_count": len(rows), "size_sum": sum(rows), "my rows_total": sum(rows)}


def value(server, name):
    found = re.search(rf"^{name} (\S+)$", server.get("/metrics").body.decode(), re.MULTILINE)
    return found and float(found[1])


def test_three_workers_reloads_and_a_killed_worker_tell_what_the_clients_have_counted(tmp_path):
    (write_model(tmp_path) / "models.py").write_text(MODULE)
    with running(tmp_path, "--workers", "3") as server:
        with Clients(server) as clients:
            clients.go_on()
            assert server.post("/v2/repository/models/double/load", {}).status == 200
            clients.go_on()
            server.send(signal.SIGHUP)
            server.wait_for("Reloaded: new workers serve")
            clients.go_on()
        rows = clients.answered
        assert clients.failed == []
        for _ in range(6):  # each on a connection of its own, so that several workers answer
            assert told(server)[0] == expected(rows)

        assert server.post("/v2/models/double/infer", numbers(*range(7))).status == 200  # and a child reports more
        rows.append(7)
        workers = eventually(lambda: server.workers_without([], 3))
        for worker in workers:  # each has reported a gauge
            eventually(lambda worker=worker: asked(server, rows) and worker in told(server)[1])
        assert value(server, "my_live") == 3
        assert value(server, "my_pid") in workers
        assert value(server, "srv_worker_deaths_total") == 0  # old workers of the reload were told to go
        assert [value(server, rf'srv_connections\{{worker="{worker}"\}}') is None for worker in workers] == [False] * 3

        victim = workers[0]
        os.kill(victim, signal.SIGKILL)
        server.wait_for("takes its place")
        eventually(lambda: server.workers_without([victim], 3))
        assert value(server, "my_live") == 2
        for _ in range(10):
            asked(server, rows)

        sums, gauges = told(server)
        assert sums == expected(rows)
        assert victim not in gauges
        assert value(server, "srv_worker_deaths_total") == 1
        assert eventually(lambda: files_of_dead(server)) == ["model_metrics", "statistics"]
        assert told(server)[0] == expected(rows)


def files_of_dead(server):
    """The folders in which one file stands for all workers that are gone; None while there are others."""
    workers = {str(pid) for pid in server.workers()}
    for folder in (memory_place() or run_place()).glob("srv-run-*"):
        names = {
            kind: {file.stem for file in (folder / kind).glob("*.kinds")} for kind in ("model_metrics", "statistics")
        }
        if any(workers & found for found in names.values()):
            dead = {kind: found - workers for kind, found in names.items()}
            folded = [kind for kind, found in dead.items() if len(found) == 1 and min(found).startswith("folded-")]
            return folded if len(folded) == len(dead) else None
    return None


def asked(server, rows):
    """Send one request on a connection of its own, and count it."""
    answer = server.post("/v2/models/double/infer", numbers(1, 2))
    rows += [2] * (answer.status == 200)
    return answer.status == 200
