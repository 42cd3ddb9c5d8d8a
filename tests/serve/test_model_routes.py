"""Routes of runtimes over real sockets: several workers, streams as they come, deadlines, and clients that leave."""

import http.client
import json
import re

import pytest
from servers import eventually, running

pytestmark = pytest.mark.e2e

CODE = """
import asyncio
import os
import time
from pathlib import Path

from srv import RouteResponse, Runtime

FOLDER = Path(__file__).parents[2] / "marks"


class Routed(Runtime):
    routes = [
        ("GET", "NAME", "pid"),
        ("POST", "/score", "pid"),
        ("GET", "forever", "forever"),
        ("GET", "stuck", "stuck"),
        ("GET", "steps", "steps"),
        ("GET", "broken", "broken"),
    ]

    def predict(self, x: list[str]) -> list[str]:
        return x

    def pid(self, request):
        return {"pid": os.getpid()}

    async def forever(self, request):
        (FOLDER / "entered").touch()
        try:
            await asyncio.sleep(3600)
        finally:
            (FOLDER / "cancelled").touch()

    def stuck(self, request):
        while not (FOLDER / "free").exists():
            time.sleep(0.01)
        (FOLDER / "left").touch()
        return {}

    async def broken(self, request):
        yield RouteResponse(content_type="text/plain")
        yield "half"
        raise ValueError

    def steps(self, request):
        yield {"step": 1}
        while not (FOLDER / "next").exists():
            time.sleep(0.01)
        yield {"step": 2}
"""


def write(folder, name):
    (folder / "routed" / "models.py").write_text(CODE.replace("NAME", name))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served") / "models"
    (folder / "routed").mkdir(parents=True)
    (folder.parent / "marks").mkdir()
    settings = {"implementation": "models.Routed", "request_timeout": 2}
    (folder / "routed" / "model-settings.json").write_text(json.dumps(settings))
    (folder / "settings.json").write_text(json.dumps({"workers": 2, "root_routes": {"/score": "routed"}}))
    write(folder, "pid")
    return folder


@pytest.fixture(scope="module")
def server(folder):
    with running(folder) as server:
        yield server
        assert server.stop() == 0, server.output


@pytest.fixture
def marks(folder):
    marks = folder.parent / "marks"
    yield marks
    for mark in marks.iterdir():
        mark.unlink()


def pids(server, method, path):
    """The workers that answer there, once all of them have."""
    seen, count = set(), 0
    while len(seen) < 2:
        answer = server.request(method, path)
        assert answer.status == 200, answer.body
        seen.add(answer.json["pid"])
        count += 1
        assert count < 1000
    return seen, count


def test_every_worker_has_the_routes_and_they_are_counted_together(server):
    below, asked = pids(server, "GET", "/v2/models/routed/pid")
    assert below == set(server.workers())
    pids(server, "POST", "/score")

    def counted():
        page = server.get("/metrics").body.decode()
        told = re.search(
            r'^srv_route_requests_total{model="routed",outcome="ok",route="GET pid",version="1"} (\S+)$',
            page,
            re.MULTILINE,
        )
        return told is not None and float(told[1]) == asked

    eventually(counted)
    assert "srv_requests_total{" not in server.get("/metrics").body.decode()
    server.wait_for(r"GET /v2/models/routed/pid 200 .* model=routed queue=")


def test_a_load_over_the_wire_changes_the_routes_of_every_worker(server, folder):
    write(folder, "process")
    assert server.post("/v2/repository/models/routed/load", {}).status == 200
    pids(server, "GET", "/v2/models/routed/process")
    for _ in range(20):
        assert server.get("/v2/models/routed/pid").status == 404


def test_a_stream_comes_as_it_is_made(server, marks):
    connection = server.connect()
    connection.request("GET", "/v2/models/routed/steps")
    response = connection.getresponse()
    assert response.getheader("Content-Type") == "text/event-stream"
    assert response.readline() == b'data: {"step":1}\n'
    (marks / "next").touch()
    assert response.read() == b'\ndata: {"step":2}\n\n'
    connection.close()


def test_a_stream_of_no_events_that_fails_breaks_off_so_that_clients_notice(server):
    with pytest.raises(http.client.IncompleteRead) as told:
        server.get("/v2/models/routed/broken")
    assert told.value.partial == b"half"
    server.wait_for(r"GET /v2/models/routed/broken 200 .* model=routed outcome=MODEL_ERROR")


def test_an_async_route_is_cancelled_at_the_models_deadline(server, marks):
    answer = server.get("/v2/models/routed/forever")
    assert (answer.status, answer.json["code"]) == (504, "DEADLINE")
    assert answer.json["error"] == "The request was not answered within its 2 seconds."
    eventually((marks / "cancelled").exists)


def test_a_sync_route_is_answered_for_at_the_models_deadline(server, marks):
    answer = server.get("/v2/models/routed/stuck")
    assert (answer.status, answer.json["code"]) == (504, "DEADLINE")
    (marks / "free").touch()
    eventually((marks / "left").exists)
    server.wait_for(r"GET /v2/models/routed/stuck 504 .* model=routed outcome=DEADLINE")


def test_an_async_route_is_cancelled_when_its_client_leaves(server, folder, marks):
    settings = {"implementation": "models.Routed", "request_timeout": 3600}
    (folder / "routed" / "model-settings.json").write_text(json.dumps(settings))
    assert server.post("/v2/repository/models/routed/load", {}).status == 200
    connection = server.connect()
    connection.request("GET", "/v2/models/routed/forever")
    eventually((marks / "entered").exists)
    assert not (marks / "cancelled").exists()
    connection.close()
    eventually((marks / "cancelled").exists)
