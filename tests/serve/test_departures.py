"""Clients that leave before their answer, over both faces: what worked for them is told, what waited never runs."""

import json
import re
import select
import threading
import time
from contextlib import closing

import grpc
import numpy as np
import pytest
from servers import ask, eventually, numbers, running
from tritonclient.grpc import InferInput, service_pb2_grpc
from tritonclient.grpc._utils import _get_inference_request

pytestmark = pytest.mark.e2e

CODE = """
import asyncio, os, time
from pathlib import Path
import numpy as np
from srv import Runtime

PLACE = Path(os.environ["PLACE"])

class Kept(Runtime):
    def note(self, what):
        with open(PLACE / "notes", "a") as notes:
            notes.write(f"{self.name} {what}\\n")

class Sleeps(Kept):
    async def predict(self, x: np.ndarray) -> np.ndarray:
        self.note("begins")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.note("cancelled")
            raise

class Flows(Kept):
    async def predict_stream(self, x: np.ndarray):
        self.note("begins")
        try:
            yield x
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            self.note("closed")

class Ticks(Kept):
    def predict_stream(self, x: np.ndarray):
        self.note("begins")
        try:
            while True:
                yield x
                time.sleep(0.02)
        finally:
            self.note("closed")

class Pieces(Kept):
    def predict_stream(self, x: np.ndarray):
        yield x
        while not (PLACE / "open").exists():
            time.sleep(0.01)
        if x[0] < 0:
            raise ValueError("negative")
        yield x

class Late(Kept):
    def predict(self, x: np.ndarray) -> np.ndarray:
        while not (PLACE / "open").exists():
            time.sleep(0.01)
        self.note("ends")
        return x

class Alone(Kept):
    concurrency = 1
    def predict(self, x: np.ndarray) -> np.ndarray:
        self.note(f"begins {x[0]:g}")
        while not (PLACE / "open").exists():
            time.sleep(0.01)
        self.note("ends")
        return x
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name in ("Sleeps", "Flows", "Ticks", "Alone", "Late", "Pieces"):
        place = folder / name.lower()
        place.mkdir()
        own = {"request_timeout": 1} if name == "Late" else {}
        (place / "model-settings.json").write_text(json.dumps({"implementation": f"models.{name}", **own}))
        (place / "models.py").write_text(CODE)
    limits = {"threads": 4, "grpc_threads": 4, "max_queue": 4, "max_inflight_bytes": 3_000_000}
    (folder / "settings.json").write_text(json.dumps(limits))
    place = tmp_path_factory.mktemp("place")
    with running(folder, environ={"PLACE": str(place)}) as started:
        started.place = place
        yield started


@pytest.fixture
def notes(server):
    """What the models have noted in this test."""
    path = server.place / "notes"
    before = len(path.read_text()) if path.exists() else 0
    (server.place / "open").unlink(missing_ok=True)
    yield lambda: path.read_text()[before:].splitlines() if path.exists() else []
    (server.place / "open").touch()


class OverHttp:
    """A request on a connection of its own, and its client's ways to leave."""

    def __init__(self, server, model, value, *, stream):
        self.connection = server.connect()
        path = f"/v2/models/{model}/infer_stream" if stream else f"/v2/models/{model}/infer"
        self.connection.request("POST", path, json.dumps(numbers(value)), {"Content-Type": "application/json"})

    def first(self):
        self.answer = self.connection.getresponse()
        return self.answer.readline()

    def leave(self):
        getattr(self, "answer", self.connection).close()
        self.connection.close()


class OverGrpc:
    """The same over gRPC: a call that is cancelled."""

    options = (("grpc.use_local_subchannel_pool", 1),)
    seconds = None

    def __init__(self, server, model, value, *, stream):
        self._over = threading.Event()
        self.channel = grpc.insecure_channel(address_of(server), options=self.options)
        stub = service_pb2_grpc.GRPCInferenceServiceStub(self.channel)
        if stream:
            self.call = stub.ModelStreamInfer(self._one(model, value), timeout=self.seconds)
        else:
            self.call = stub.ModelInfer.future(asked(model, value), timeout=self.seconds)

    def _one(self, model, value):
        yield asked(model, value)
        self._over.wait(30)  # the client says no more, and its side stays open

    def first(self):
        return next(self.call)

    def leave(self):
        self.call.cancel()
        self._over.set()
        self.channel.close()


class GoesAway(OverGrpc):
    """Its connection ends and nobody says why."""

    def leave(self):
        self._over.set()
        self.channel.close()


class Deadline(OverGrpc):
    """Its deadline passes."""

    seconds = 2.0  # enough for the first response on a busy machine

    def leave(self):
        eventually(self.call.done)
        self._over.set()
        self.channel.close()


def address_of(server):
    return server.wait_for(r"listening on (\S+) for gRPC").group(1)


def asked(model, value):
    array = np.atleast_1d(np.asarray(value, np.float64))
    given = InferInput("x", array.shape, "FP64")
    given.set_data_from_numpy(array)
    return _get_inference_request(
        model_name=model, inputs=[given], model_version="", request_id="", outputs=None, sequence_id=0,
        sequence_start=False, sequence_end=False, priority=0, timeout=None, parameters=None,
    )  # fmt: skip


WAYS = pytest.mark.parametrize("way", [OverHttp, OverGrpc, GoesAway, Deadline], ids=lambda way: way.__name__)


@WAYS
def test_a_predict_that_is_awaited_is_cancelled(server, notes, way):
    client = way(server, "sleeps", 1, stream=False)
    eventually(lambda: notes() == ["sleeps begins"])
    client.leave()
    eventually(lambda: notes() == ["sleeps begins", "sleeps cancelled"])


@WAYS
def test_a_stream_that_is_awaited_is_closed_and_may_tidy_up(server, notes, way):
    client = way(server, "flows", 1, stream=True)
    assert client.first()
    client.leave()
    eventually(lambda: notes() == ["flows begins", "flows closed"])


@WAYS
def test_a_stream_that_is_not_awaited_is_closed_at_its_next_value(server, notes, way):
    client = way(server, "ticks", 1, stream=True)
    assert client.first()
    client.leave()
    eventually(lambda: notes() == ["ticks begins", "ticks closed"])


@WAYS
def test_who_waits_for_the_model_waits_no_longer_and_never_runs(server, notes, way):
    first = OverHttp(server, "alone", 1, stream=False)
    eventually(lambda: notes() == ["alone begins 1"])
    waits = [way(server, "alone", 2, stream=False) for _ in range(3)]
    for client in waits:
        client.leave()

    # Threads that still waited for the model would keep these from being answered.
    after = way(server, "sleeps", 1, stream=False)
    eventually(lambda: "sleeps begins" in notes())
    after.leave()
    (server.place / "open").touch()
    assert json.loads(first.connection.getresponse().read())["outputs"][0]["data"] == [1]
    assert ask(first.connection, "POST", "/v2/models/alone/infer", json.dumps(numbers(3)).encode()).status == 200
    assert "alone begins 2" not in notes()
    first.leave()


def test_the_metrics_tell_how_many_wait_for_a_face_and_for_a_model(server, notes):
    first = OverHttp(server, "alone", 1, stream=False)
    eventually(lambda: notes() == ["alone begins 1"])
    waits = [OverHttp(server, "alone", 2, stream=False) for _ in range(2)]
    waits += [OverGrpc(server, "sleeps", 2, stream=False) for _ in range(7)]
    (pid,) = server.workers()

    def waiting():
        page = dict(line.rsplit(" ", 1) for line in server.get("/metrics").body.decode().splitlines())
        told = f'{{face="grpc",worker="{pid}"}}', f'{{model="alone",version="1",worker="{pid}"}}'
        return page[f"srv_queue_requests{told[0]}"], page[f"srv_model_queue_requests{told[1]}"]

    eventually(lambda: waiting() == ("3.0", "2.0"))
    for client in (*waits, first):
        client.leave()
    (server.place / "open").touch()

    def all_are_over():  # also one that got the place of somebody who left a moment before
        return 4 <= notes().count("sleeps begins") == notes().count("sleeps cancelled") and "alone ends" in notes()

    eventually(all_are_over)


def test_who_waits_for_a_thread_over_http_gives_the_place_up(server, notes):
    hanging = [OverHttp(server, "sleeps", 1, stream=False) for _ in range(4)]
    eventually(lambda: len(notes()) == 4)
    for turn in range(1, 4):  # each fills the queue anew
        waiting = [OverHttp(server, "alone", 2, stream=False) for _ in range(5)]
        (beyond,), _, _ = select.select([client.connection.sock for client in waiting], [], [], 30)
        assert beyond.recv(12) == b"HTTP/1.1 429"
        for client in waiting:
            client.leave()
        server.wait_for("POST /v2/models/alone/infer 499", times=4 * turn)
    for client in hanging:
        client.leave()
    eventually(lambda: notes().count("sleeps cancelled") == 4)
    assert "alone begins 2" not in notes()


def test_a_models_own_time_is_over_while_its_predict_runs_on(server, notes):
    for _ in range(2):  # the second time the path is known to be slow
        late = server.post("/v2/models/late/infer", numbers(1))
        assert (late.status, late.json["code"]) == (504, "DEADLINE")
        assert late.json["error"] == "The request was not answered within its 1 seconds."
    assert notes() == []
    (server.place / "open").touch()
    eventually(lambda: notes() == ["late ends"] * 2)


def test_both_faces_count_their_bytes_together_and_who_leaves_counts_no_more(server, notes):
    large = OverGrpc(server, "sleeps", np.ones(250_000), stream=False)
    eventually(lambda: notes() == ["sleeps begins"])
    body = b" " * 2_000_000 + json.dumps(numbers(1)).encode()
    with closing(server.connect()) as connection:
        refused = ask(connection, "POST", "/v2/models/alone/infer", body)
        assert (refused.status, refused.json["code"]) == (503, "UNAVAILABLE")
    large.leave()
    (server.place / "open").touch()
    eventually(lambda: server.request("POST", "/v2/models/alone/infer", body).status == 200)


def test_who_left_is_counted_apart(server, notes):
    client = OverHttp(server, "sleeps", 1, stream=False)
    eventually(lambda: notes() == ["sleeps begins"])
    client.leave()
    eventually(lambda: 'face="rest",model="sleeps",outcome="CANCELLED"' in server.get("/metrics").body.decode())


# -- what the access log and the metrics say ----------------------------------------------------------------------------


def counted(server, face, model, outcome):
    told = f'srv_requests_total{{face="{face}",model="{model}",outcome="{outcome}",version="1"}} '
    page = server.get("/metrics").body.decode().splitlines()
    return sum(float(line.removeprefix(told)) for line in page if line.startswith(told))


def let_the_server_see_it(server):
    """Answers that come after somebody has left: whoever gave them has seen that before."""
    for _ in range(3):
        assert server.get("/v2/health/live").status == 200
        with grpc.insecure_channel(address_of(server), options=OverGrpc.options) as channel:
            channel.unary_unary("/inference.GRPCInferenceService/ServerLive")(b"", timeout=30)


@pytest.mark.parametrize("value, outcome, counts", [(1, None, "ok"), (-1, "MODEL_ERROR", "MODEL_ERROR")])
def test_a_streams_line_comes_at_its_end_with_the_whole_time_and_the_outcome(server, notes, value, outcome, counts):
    before = counted(server, "rest", "pieces", counts)
    client = OverHttp(server, "pieces", value, stream=True)
    assert client.first()
    let_the_server_see_it(server)
    assert server.get("/v2/models/pieces").status == 200  # its line comes after those of what was answered before
    asked_for = len([line for line in server.lines if "POST /v2/models/pieces/infer_stream" in line])
    time.sleep(0.3)  # which the line must tell
    (server.place / "open").touch()
    rest = client.answer.read()

    line = server.wait_for(r"POST /v2/models/pieces/infer_stream 200 (\d+\.\d) ms .*", times=asked_for + 1)
    assert float(line[1]) >= 300
    assert ("outcome=" in line[0]) == (outcome is not None)
    assert outcome is None or line[0].endswith(f"outcome={outcome}") or f"outcome={outcome} " in line[0]
    assert (b"error" in rest) == (outcome is not None)
    eventually(lambda: counted(server, "rest", "pieces", counts) == before + 1)
    client.leave()


@pytest.mark.parametrize("way", [OverHttp, OverGrpc, GoesAway], ids=lambda way: way.__name__)
def test_a_stream_whose_client_left_is_cancelled_in_the_log_and_the_count(server, notes, way):
    face, pattern = FACES[way is OverHttp]
    before = counted(server, face, "ticks", "CANCELLED")
    lines = len([line for line in server.lines if re.search(pattern.format("ticks", "Stream"), line)])
    client = way(server, "ticks", 1, stream=True)
    assert client.first()
    client.leave()

    eventually(lambda: counted(server, face, "ticks", "CANCELLED") == before + 1)
    server.wait_for(pattern.format("ticks", "Stream"), times=lines + 1)


@pytest.mark.parametrize("way", [OverHttp, OverGrpc, GoesAway], ids=lambda way: way.__name__)
def test_a_predict_whose_client_left_is_cancelled_in_the_log_and_the_count(server, notes, way):
    face, pattern = FACES[way is OverHttp]
    before = {outcome: counted(server, face, "alone", outcome) for outcome in ("ok", "CANCELLED")}
    lines = len([line for line in server.lines if re.search(pattern.format("alone", "Infer"), line)])
    client = way(server, "alone", 1, stream=False)
    eventually(lambda: notes() == ["alone begins 1"])
    client.leave()
    let_the_server_see_it(server)
    (server.place / "open").touch()

    eventually(lambda: counted(server, face, "alone", "CANCELLED") == before["CANCELLED"] + 1)
    assert counted(server, face, "alone", "ok") == before["ok"]
    server.wait_for(pattern.format("alone", "Infer"), times=lines + 1)


#: How a line of each face looks whose client left, to be filled in with the model and the method.
FACES = {
    True: ("rest", r"srv\.access: POST /v2/models/{0}/infer\S* (200|499) .*outcome=CANCELLED"),
    False: ("grpc", r"srv\.access: GRPC /inference\.GRPCInferenceService/Model{1}\S* 1 .*model={0} outcome=CANCELLED"),
}
