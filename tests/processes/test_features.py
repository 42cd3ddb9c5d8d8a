"""What a model in a process of its own can do: streams, async, batches, routes, metrics, warm-up, deadlines, codecs."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from process_servers import write
from servers import eventually, running
from web_server import web_server

pytestmark = pytest.mark.e2e

STREAMING = """
import time
from pathlib import Path

import numpy as np
from srv import RouteResponse, Runtime

FOLDER = Path(__file__).parent


class Model(Runtime):
    routes = [("POST", "explain/{what}", "explain"), ("GET", "ticks", "ticks"), ("GET", "missing", "missing")]

    def predict(self, x: np.ndarray) -> np.ndarray:
        self.metric("calls", 1, kind="counter", who="me")
        self.metric("last", float(x[0]))
        return x

    def predict_stream(self, x: np.ndarray):
        try:
            for number in range(int(x[0])):
                yield np.full(int(x[-1]), number)
                (FOLDER / "made").write_text(str(number))
        finally:
            (FOLDER / "closed").touch()

    def explain(self, request):
        body = {"what": request.path_parameters["what"], "why": request.json(), "q": request.query}
        return RouteResponse(body, status=201, headers={"X-Model": "mine"})

    def ticks(self, request):
        for number in range(3):
            yield {"tick": number}

    def missing(self, request):
        from srv.errors import NotFound
        raise NotFound("Nothing here.")
"""

ASYNC = """
import asyncio
from pathlib import Path

import numpy as np
from srv import InputCodec, Runtime, Tensor


class Shout(InputCodec):
    content_type = "shout"
    type_hint = str
    binary = True

    def can_encode(self, value):
        return False

    def decode(self, tensor):
        return tensor.data[0].upper()

    def encode(self, name, value):
        return Tensor(name, [value])


class Model(Runtime):
    async def load(self):
        await asyncio.sleep(0)
        (Path(__file__).parent / "warm").write_text("0")

    async def predict(self, seconds: float, said: str = "") -> dict:
        warm = Path(__file__).parent / "warm"
        warm.write_text(str(int(warm.read_text()) + 1))
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            (Path(__file__).parent / "cancelled").touch()
            raise
        return {"slept": np.array([seconds])}

    async def predict_stream(self, seconds: float):
        for number in range(3):
            await asyncio.sleep(seconds)
            yield np.array([number])
"""

BATCHING = """
import threading
import time

import numpy as np
from srv import Runtime


class Model(Runtime):
    concurrency = 1

    def predict(self, x: np.ndarray) -> dict[str, np.ndarray]:
        time.sleep(0.05)
        return {"x": x, "rows": np.full((len(x), 1), len(x))}
"""


FETCHED = """
import numpy as np
from srv import Runtime


class Model(Runtime):
    def load(self):
        self._factor = float(self.artifact().read_text())

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self._factor * x
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write(folder, "streams", STREAMING, process=True)
    warmup = [{"inputs": [{"name": "seconds", "datatype": "FP64", "shape": [1], "data": [0.0]}]}]
    write(folder, "later", ASYNC, process=True, warmup=warmup, request_timeout=1.0)
    declared = [{"name": "x", "datatype": "FP64", "shape": [-1, 1]}]
    write(folder, "batches", BATCHING, process=True, max_batch_size=8, max_batch_time=0.1, inputs=declared)
    return folder


@pytest.fixture(scope="module")
def server(folder, tmp_path_factory):
    cache = {"SRV_CACHE_DIR": str(tmp_path_factory.mktemp("cache"))}
    with web_server() as web:
        web.put("/factor.txt", b"3")
        write(folder, "fetched", FETCHED, process=True, parameters={"uri": web.url("/factor.txt")})
        with running(folder, "--workers", "2", environ=cache) as server:
            yield server


def one(name, value, shape=(1,)):
    return {"inputs": [{"name": name, "datatype": "FP64", "shape": list(shape), "data": [value]}]}


def counted(count, *, size=1):
    """A request for a stream of so many values, each of that size."""
    return {"inputs": [{"name": "x", "datatype": "FP64", "shape": [2], "data": [count, size]}]}


def stream(server, model, document):
    connection = server.connect()
    connection.request("POST", f"/v2/models/{model}/infer_stream", json.dumps(document))
    return connection, connection.getresponse()


def events(response):
    return [json.loads(line[6:]) for line in response.read().decode().split("\n") if line.startswith("data: ")]


def test_a_stream_comes_whole_and_in_order(server):
    connection, response = stream(server, "streams", counted(100))
    values = [event["outputs"][0]["data"][0] for event in events(response)]
    connection.close()
    assert values == [*range(100)]


def test_an_async_stream_comes_as_well(server):
    connection, response = stream(server, "later", one("seconds", 0.001))
    assert [event["outputs"][0]["data"] for event in events(response)] == [[0], [1], [2]]
    connection.close()


def test_a_stream_whose_client_leaves_makes_no_more_values(server, folder):
    (folder / "streams" / "closed").unlink(missing_ok=True)
    connection, response = stream(server, "streams", counted(10_000_000))
    response.read(200)
    connection.sock.close()
    response.close()
    eventually((folder / "streams" / "closed").exists)
    made = (folder / "streams" / "made").read_text()
    assert int(made) < 1_000_000


def test_a_client_that_reads_nothing_holds_up_the_process_and_no_memory(server, folder):
    connection, response = stream(server, "streams", counted(5_000_000, size=100_000))
    response.read(100)
    made = folder / "streams" / "made"

    def stands():
        before = made.read_text()
        time.sleep(0.3)
        return before == made.read_text() != ""

    eventually(stands)
    connection.close()
    response.close()


def test_routes_answer_with_status_headers_and_fields(server):
    answer = server.request("POST", "/v2/models/streams/explain/row?a=1", b"[1, 2]")
    assert (answer.status, answer.headers["x-model"]) == (201, "mine")
    assert answer.json == {"what": "row", "why": [1, 2], "q": {"a": "1"}}
    assert server.get("/v2/models/streams").json["parameters"]["routes"][-1]["path"].endswith("explain/{what}")


def test_a_route_streams(server):
    answer = server.get("/v2/models/streams/ticks")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.body == b'data: {"tick":0}\n\ndata: {"tick":1}\n\ndata: {"tick":2}\n\n'


def test_what_a_route_has_to_say_keeps_its_status(server):
    answer = server.get("/v2/models/streams/missing")
    assert (answer.status, answer.json) == (404, {"error": "Nothing here.", "code": "NOT_FOUND"})
    refused = server.request("POST", "/v2/models/streams/explain/row", b"no json")
    assert (refused.status, refused.json["code"]) == (400, "INVALID_INPUT")


def test_metrics_of_the_model_are_shown(server):
    for value in (1.0, 2.0, 3.0):
        assert server.post("/v2/models/streams/infer", one("x", value)).status == 200
    shown = server.get("/metrics").body.decode()
    assert re.search(r'^srv_model_calls_total\{[^}]*model="streams"[^}]*\} [3-9]', shown, re.MULTILINE)
    assert re.search(r'^srv_model_last\{[^}]*model="streams"[^}]*\} 3\.0', shown, re.MULTILINE)


def test_a_model_is_warm_before_it_serves(server, folder):
    assert int((folder / "later" / "warm").read_text()) >= 1


def test_an_async_predict_past_its_deadline_is_cancelled_and_answered_in_time(server, folder):
    began = time.monotonic()
    answer = server.post("/v2/models/later/infer", one("seconds", 30.0))
    assert (answer.status, answer.json["code"]) == (504, "DEADLINE")
    assert answer.json["error"] == "The request was not answered within its 1 seconds."
    assert time.monotonic() - began < 10
    eventually((folder / "later" / "cancelled").exists)


def test_a_codec_of_the_models_folder_counts_and_its_bytes_are_base64(server):
    document = one("seconds", 0.0)
    said = {
        "name": "said",
        "datatype": "BYTES",
        "shape": [1],
        "data": ["aGk="],
        "parameters": {"content_type": "shout"},
    }
    document["inputs"].append(said)
    assert server.post("/v2/models/later/infer", document).status == 200
    said["data"] = ["no base64!"]
    refused = server.post("/v2/models/later/infer", document)
    assert (refused.status, refused.json["code"]) == (400, "INVALID_INPUT")
    assert "base64" in refused.json["error"]


def test_requests_run_together_and_each_gets_its_own_row(server):
    def ask(value):
        return server.post("/v2/models/batches/infer", one("x", value, shape=(1, 1)))

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, map(float, range(48))))
    assert [answer.status for answer in answers] == [200] * 48
    outputs = [{each["name"]: each["data"] for each in answer.json["outputs"]} for answer in answers]
    assert [output["x"] for output in outputs] == [[float(value)] for value in range(48)]
    assert max(output["rows"][0] for output in outputs) > 1
    batches = server.get("/v2/models/batches/stats").json["model_stats"][0]["batch_stats"]
    assert any(each["batch_size"] > 1 for each in batches)


def test_an_artifact_elsewhere_is_fetched_for_the_process(server):
    answer = server.post("/v2/models/fetched/infer", one("x", 2.0))
    assert answer.json["outputs"][0]["data"] == [6.0]


def test_the_configuration_tells_how_many_run_together(server):
    assert server.get("/v2/models/batches/config").json["max_batch_size"] == 8
