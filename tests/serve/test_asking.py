"""The three plugins of docs/ask-models.md in one real server with two workers, and clients that leave them."""

import json
import socket

import pytest
from distributions import installed_in
from guides import TOP, blocks
from servers import eventually, numbers, running

pytestmark = pytest.mark.e2e

GUIDE = {block.file: block for block in blocks(TOP / "docs" / "ask-models.md") if block.file}
ASKS_GATE = """
from srv import InferenceRequest, Tensor, hookimpl

class Asks:
    def on_get(self, req, resp):
        req.context.server.infer("gate", InferenceRequest([]))

    def on_post(self, req, resp):
        responses = req.context.server.stream("gate", InferenceRequest([]))
        resp.content_type = "text/plain"
        resp.stream = Pieces(responses)

class Pieces:
    def __init__(self, responses):
        self.responses = responses
        self.close = responses.close

    def __iter__(self):
        return (str(response["n"][0]).encode() for response in self.responses)

@hookimpl
def srv_http_routes():
    return [("/gate", Asks())]
"""
GATE = """
import asyncio
from pathlib import Path
from srv import Runtime

NOTES = Path({notes!r})

class Gate(Runtime):
    async def predict(self, request):
        await self.hold("predict")

    async def predict_stream(self, request):
        yield {{"n": [1]}}
        await self.hold("stream")

    async def hold(self, name):
        (NOTES / f"{{name}}-began").touch()
        try:
            await asyncio.Event().wait()
        finally:
            (NOTES / f"{{name}}-ended").touch()
"""
LEADS = """
from srv import Runtime

class Leads(Runtime):
    concurrency = 1

    def predict(self, request):
        return self.server.infer("halved", request, headers=request.headers)
"""


@pytest.fixture(scope="module")
def notes(tmp_path_factory):
    return tmp_path_factory.mktemp("notes")


@pytest.fixture(scope="module")
def server(tmp_path_factory, notes):
    folder, site = tmp_path_factory.mktemp("asking"), tmp_path_factory.mktemp("site")
    for file in GUIDE:
        if file.startswith("asking/models/"):
            GUIDE[file].write(folder)
    models = folder / "asking" / "models"
    (models / "shifted" / "pipeline.py").write_text(GUIDE["asking/pipeline.py"].text)
    for name, code in {"gate": GATE.format(notes=str(notes)), "leads": LEADS}.items():
        (models / name).mkdir()
        (models / name / "models.py").write_text(code)
        (models / name / "model-settings.json").write_text(json.dumps({"implementation": f"models.{name.title()}"}))
    (models / "settings.json").write_text(
        json.dumps({"workers": 2, "threads": 2, "inbox": {"folder": str(notes), "model": "shifted"}})
    )
    modules = {name: GUIDE[f"asking/{name}.py"].text for name in ("v1_protocol", "inbox")}
    with pytest.MonkeyPatch.context() as environment, installed_in(site) as made:
        environment.setenv("PYTHONPATH", str(site))
        made.add(
            "acme-asking",
            "[srv.plugins]\nv1 = v1_protocol\ninbox = inbox\ngates = gate_route\n",
            modules={**modules, "gate_route": ASKS_GATE},
        )
        with running(models) as served:
            yield served
            assert served.stop() == 0, served.output


def requests(server, model, face, outcome="ok"):
    page = server.get("/metrics").body.decode()
    lines = [
        line for line in page.splitlines()
        if line.startswith("srv_requests_total{")
        and f'model="{model}"' in line and f'face="{face}"' in line and f'outcome="{outcome}"' in line
    ]  # fmt: skip
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def test_a_route_asks_a_model_in_another_protocol(server):
    before = requests(server, "halved", "v1")
    answer = server.post("/v1/models/halved:predict", {"instances": [2.0, 4.0]})
    assert (answer.status, answer.json) == (200, {"predictions": [1.0, 2.0]})
    assert server.post("/v1/models/absent:predict", {"instances": [1.0]}).json["code"] == "NOT_FOUND"
    assert requests(server, "halved", "v1") == before + 1


def test_a_pipeline_asks_two_models_whichever_worker_is_asked(server):
    for _ in range(6):
        answer = server.post("/v2/models/shifted/infer", numbers(2.0, 4.0))
        assert answer.json["outputs"][0]["data"] == [101.0, 102.0]
    assert requests(server, "raised", "model:shifted") >= 6


def test_a_thread_of_a_plugin_answers_each_file_once_over_two_workers(server, notes):
    before = requests(server, "shifted", "inbox")
    for number in range(20):
        part = notes / f"{number}.new"
        part.write_text(json.dumps([float(number)]))
        part.rename(part.with_suffix(".json"))

    eventually(lambda: len([*notes.glob("*.answer")]) == 20)

    answers = [json.loads((notes / f"{number}.answer").read_text()) for number in range(20)]
    assert answers == [{"result": [number / 2 + 100]} for number in range(20)]
    assert requests(server, "shifted", "inbox") == before + 20


def test_models_that_ask_each_other_get_on_with_two_threads(server):
    answers = [server.post("/v2/models/leads/infer", numbers(8.0)) for _ in range(4)]
    assert [answer.json["outputs"][0]["data"] for answer in answers] == [[4.0]] * 4


@pytest.mark.parametrize(("method", "name"), [("GET", "predict"), ("POST", "stream")])
def test_a_client_that_leaves_a_route_ends_what_the_route_asks(server, notes, method, name):
    host, port = server.url().removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as client:
        client.sendall(f"{method} /gate HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n".encode())
        eventually((notes / f"{name}-began").exists)
    eventually((notes / f"{name}-ended").exists)
    eventually(lambda: requests(server, "gate", "gates", "CANCELLED"))
