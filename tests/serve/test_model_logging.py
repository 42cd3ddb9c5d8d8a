"""Models that break logging, on a real server: each request is answered, and later lines are written."""

import json
import os

import pytest
from servers import running

pytestmark = pytest.mark.e2e

MODELS = """
import logging, os, sys
from srv import Runtime

class Down(logging.Handler):
    def emit(self, record):
        raise ConnectionError("the log's backend is down")

class M(Runtime):
    def predict(self, case: list[str]) -> list[str]:
        exec(case[0])
        return case
"""
CASES = {
    "handler": "logging.getLogger().addHandler(Down())",
    "handler of srv": "logging.getLogger('srv').addHandler(Down())",
    "filter": "[each.addFilter(lambda record: record.user_id) for each in logging.getLogger().handlers]",
    "factory": "logging.setLogRecordFactory(None)",
    "closed": "sys.stderr.close(); sys.stdout.close(); sys.stdin.close()",
    "descriptors": "os.close(2); os.close(1); os.close(0)",
    "none": "sys.stderr = sys.stdout = None",
    "shutdown": "logging.shutdown()",
}


def ask(server, case):
    document = {"inputs": [{"name": "case", "datatype": "BYTES", "shape": [1], "data": [case]}]}
    return server.post("/v2/models/m/infer", document).status


@pytest.mark.parametrize("worker_class", ["srv", "gthread"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_model_that_breaks_logging_silences_and_stops_nothing(tmp_path, case, worker_class):
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "models.py").write_text(MODELS)
    (folder / "model-settings.json").write_text(json.dumps({"implementation": "models.M"}))

    with running(tmp_path, environ={"SRV_WORKER_CLASS": worker_class, "SRV_GRACEFUL_TIMEOUT": "5"}) as server:
        workers = server.workers()
        assert ask(server, case) == 200
        assert ask(server, "pass") == 200
        assert ask(server, "raise ValueError('of the model')") == 500
        assert server.get("/v2/health/live").status == 200
        server.wait_for("POST /v2/models/m/infer 500")
        assert server.workers() == workers
        assert server.stop() == 0
    assert "ValueError: of the model" in server.output
    assert os.strerror(9) not in server.output


def test_the_descriptors_of_standard_streams_are_never_a_clients(tmp_path):
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "models.py").write_text(MODELS)
    (folder / "model-settings.json").write_text(json.dumps({"implementation": "models.M"}))

    with running(tmp_path) as server:
        assert ask(server, "pass") == 200  # so that all files that srv opens at the first request are open
        assert ask(server, "os.close(1); os.close(2)") == 200
        for number in (1, 2):
            server.wait_for(f"A model has closed the descriptor {number} of the standard streams, which is open again.")
        assert ask(server, "os.write(2, b'to stderr'); os.write(1, b'to nowhere')") == 200
        server.wait_for("to stderr")
