"""Signals under load, with three workers: how many requests were sent, right, refused, lost. The counts are printed."""

import http.client
import json
import os
import signal
import threading
from collections import Counter

import pytest
from servers import eventually, numbers, running, write_model

pytestmark = [pytest.mark.hostile, pytest.mark.timeout(300)]

BODY = json.dumps(numbers(1, 2)).encode()
RIGHT = [2, 4]


class Clients:
    """Threads that ask all the time on open connections, until they are told to stop or nobody answers any more."""

    def __init__(self, server, count=8):
        self.outcomes = Counter()
        self._server = server
        self._guard = threading.Lock()
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._ask_on) for _ in range(count)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _count(self, outcome):
        with self._guard:
            self.outcomes[outcome] += 1

    def _ask_on(self):
        connection = self._server.connect()
        while not self._stopped.is_set():
            outcome = self._outcome(connection)
            self._count("sent")
            self._count(outcome)
            if outcome == "no server":
                return
            if outcome in ("closed without a byte", "broken off"):
                connection.close()
                connection = self._server.connect()
        connection.close()

    def _outcome(self, connection):
        fresh = connection.sock is None
        try:
            connection.request("POST", "/v2/models/double/infer", BODY, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            body = answer.read()
        except (http.client.IncompleteRead, http.client.BadStatusLine) as error:
            return "closed without a byte" if isinstance(error, http.client.RemoteDisconnected) else "broken off"
        except ConnectionRefusedError:
            return "no server" if fresh else "closed without a byte"
        except OSError:
            return "closed without a byte"
        if answer.status != 200:
            return f"refused with {answer.status}"
        return "right" if json.loads(body)["outputs"][0]["data"] == RIGHT else "wrong"


@pytest.fixture
def server(tmp_path):
    ran = tmp_path / "ran"
    predict = f"with open({str(ran)!r}, 'ab', 0) as file:\n    file.write(b'.')\nreturn 2 * x"
    write_model(tmp_path, predict=predict)
    with running(tmp_path, "--workers", "3") as started:
        started.ran = ran
        yield started


def lost(server, clients):
    """Requests that ran and were not answered: the server had read them, and no right answer came."""
    return server.ran.stat().st_size - clients.outcomes["right"]


def told(figure, what, server, clients):
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(clients.outcomes.items()))
    figure(f"{what} under load, 3 workers: {counts}, {lost(server, clients)} lost")


def test_sigterm_loses_no_request(server, figure):
    with Clients(server) as clients:
        eventually(lambda: clients.outcomes["right"] > 500)
        server.send(signal.SIGTERM)
        assert server.wait() == 0
        eventually(lambda: clients.outcomes["no server"] == 8)

    told(figure, "SIGTERM", server, clients)
    assert lost(server, clients) == clients.outcomes["broken off"] == clients.outcomes["wrong"] == 0


def test_sighup_loses_no_request(server, figure):
    before = server.workers()
    with Clients(server) as clients:
        eventually(lambda: clients.outcomes["right"] > 500)
        server.send(signal.SIGHUP)
        eventually(lambda: not set(before).intersection(server.workers()))
        right = clients.outcomes["right"]
        eventually(lambda: clients.outcomes["right"] > right + 500)

    told(figure, "SIGHUP", server, clients)
    assert lost(server, clients) == clients.outcomes["broken off"] == clients.outcomes["wrong"] == 0
    assert not [outcome for outcome in clients.outcomes if outcome.startswith("refused")]


def test_sigkill_of_a_worker_loses_what_it_ran_and_nothing_else(server, figure):
    before = server.workers()
    with Clients(server) as clients:
        eventually(lambda: clients.outcomes["right"] > 500)
        os.kill(before[0], signal.SIGKILL)
        eventually(lambda: before[0] not in server.workers() and len(server.workers()) == 3)
        right = clients.outcomes["right"]
        eventually(lambda: clients.outcomes["right"] > right + 500)

    told(figure, "SIGKILL of one worker", server, clients)
    assert lost(server, clients) <= 8
    assert clients.outcomes["wrong"] == 0
