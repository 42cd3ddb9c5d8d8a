"""Which thread of a worker runs which method of a runtime, on a real server: what docs/what-runs-where.md says."""

import http.client
import json
from urllib.parse import urlsplit

import pytest
from servers import eventually, running

pytestmark = pytest.mark.e2e

MODEL = """
import atexit, threading, time
from pathlib import Path
import numpy as np
from srv import InferenceResponse, Runtime, Tensor

OUT = Path(__file__).with_name("out.txt")

def tell(what):
    thread = threading.current_thread()
    name = "main" if thread is threading.main_thread() else thread.name.rstrip("0123456789-")
    with OUT.open("a") as file:
        file.write(f"{what}: {name}\\n")

class M(Runtime):
    routes = [("POST", "look", "look")]
    def __init__(self, settings):
        super().__init__(settings)
        tell("init")
    def load(self):
        tell("load")
        atexit.register(tell, "atexit")
        threading.Thread(target=time.sleep, args=(600,)).start()
    def thread_started(self):
        tell("thread_started")
    def predict(self, request):
        tell("predict")
        return np.array([1])
    def predict_stream(self, request):
        try:
            while True:
                yield InferenceResponse([Tensor("o", [1])])
                time.sleep(0.01)
        finally:
            tell("stream closed")
    async def look(self, request):
        tell("look")
        return {}
    def unload(self):
        tell("unload")
"""
REQUEST = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]}


def test_each_method_runs_in_the_thread_that_the_guide_names_and_the_worker_ends_by_itself(tmp_path):
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "models.py").write_text(MODEL)
    (folder / "model-settings.json").write_text(json.dumps({"implementation": "models.M", "warmup": [REQUEST]}))
    out = folder / "out.txt"

    with running(tmp_path) as server:
        connection = http.client.HTTPConnection(urlsplit(server.url()).netloc)
        for path in ("infer", "look"):
            connection.request("POST", f"/v2/models/m/{path}", json.dumps(REQUEST))
            assert connection.getresponse().read()
        connection.request("POST", "/v2/models/m/infer_stream", json.dumps(REQUEST))
        stream = connection.getresponse()
        assert stream.readline()
        stream.close()
        connection.close()  # the client leaves
        eventually(lambda: "stream closed" in out.read_text())
        assert server.stop() == 0, server.output

    told = out.read_text().splitlines()
    assert told[:5] == [
        "init: srv-loader",
        "load: srv-loader",
        "thread_started: srv-loader",
        "predict: srv-loader",
        "thread_started: srv-http",
    ]
    assert {"predict: srv-http", "thread_started: srv-event-loop", "look: srv-event-loop"} <= set(told)
    assert told.index("stream closed: srv-http") < told.index("unload: srv-unload")
    assert told[-1] == "atexit: main"
