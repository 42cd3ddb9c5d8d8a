"""Signals under load, with three workers: how many requests were sent, right, refused, lost. The counts are printed."""

import http.client
import json
import os
import signal
import struct
import threading
import time
from collections import Counter
from contextlib import closing

import grpc
import pytest
from servers import eventually, numbers, running, write_model
from tritonclient.grpc import service_pb2, service_pb2_grpc

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


class Streamers:
    """Threads that ask for one stream after the other over both faces, until nobody answers any more."""

    def __init__(self, server, each=4):
        self.outcomes = Counter()
        self._server = server
        self._address = server.wait_for(r"listening on (\S+) for gRPC").group(1)
        ways = (self._over_http, self._over_grpc, self._once_over_grpc)
        self._threads = [threading.Thread(target=self._ask_on, args=(way,)) for way in ways for _ in range(each)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        for thread in self._threads:
            thread.join()

    def _ask_on(self, way):
        face = way.__name__.removeprefix("_")
        while (outcome := way()) != "no server":
            self.outcomes[f"{outcome} {face}"] += 1

    def _over_http(self):
        """A stream of server-sent events."""
        try:
            with closing(self._server.connect()) as connection:
                connection.request("POST", "/v2/models/count/infer_stream", BODY, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                frames = answer.read().split(b"\n\n")
        except http.client.IncompleteRead:
            return "broken off"
        except OSError:
            return "no server"
        return "whole" if answer.status == 200 and len(frames) == ITEMS + 1 else f"wrong {answer.status}"

    def _over_grpc(self):
        return self._outcome_of(lambda stub: len(list(stub.ModelStreamInfer(iter([asked("count")])))) == ITEMS)

    def _once_over_grpc(self):
        return self._outcome_of(lambda stub: bool(stub.ModelInfer(asked("double")).raw_output_contents))

    def _outcome_of(self, ask):
        with grpc.insecure_channel(self._address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            try:
                return "whole" if ask(service_pb2_grpc.GRPCInferenceServiceStub(channel)) else "broken off"
            except grpc.RpcError as error:
                if "Failed to connect" in error.details() or "Connection refused" in error.details():
                    return "no server"
                return f"refused with {error.code().name}"


def asked(model):
    request = service_pb2.ModelInferRequest(model_name=model)
    request.inputs.add(name="x", datatype="FP64", shape=[2])
    request.raw_input_contents.append(struct.pack("<2d", 1, 2))
    return request


ITEMS = 20
COUNT = """
import time
import numpy as np
from srv import Runtime

class Model(Runtime):
    def predict_stream(self, x: np.ndarray):
        with open({begun!r}, "ab", 0) as file:
            file.write(b".")
        for place in range({items}):
            time.sleep(0.01)
            yield x + place
"""


def test_sigterm_ends_no_stream_before_its_end_on_either_face(server, tmp_path, capsys):
    begun = tmp_path / "begun"
    place = write_model(tmp_path, "count")
    (place / "models.py").write_text(COUNT.format(begun=str(begun), items=ITEMS))
    assert server.post("/v2/repository/models/count/load", {}).status == 200
    with Streamers(server) as streamers:
        eventually(lambda: streamers.outcomes["whole over_http"] > 20 < streamers.outcomes["whole over_grpc"])
        began = time.monotonic()
        server.send(signal.SIGTERM)
        assert server.wait() == 0
        took = time.monotonic() - began

    outcomes = streamers.outcomes
    whole = outcomes["whole over_http"] + outcomes["whole over_grpc"]
    with capsys.disabled():
        counts = ", ".join(f"{count} {outcome.replace('_', ' ')}" for outcome, count in sorted(outcomes.items()))
        print(f"\nSIGTERM beside streams, 3 workers: {counts}; {begun.stat().st_size} streams begun; {took:.1f} s")
    assert took < 15  # graceful_timeout is 30, and a stream takes 0.2
    assert begun.stat().st_size == whole
    assert server.ran.stat().st_size == outcomes["whole once_over_grpc"]
    assert {name for name in outcomes if "broken" in name or "wrong" in name} == set()


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
