"""A model in a process of its own, over both faces and with several workers: what works in a worker works there too."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from process_servers import pid_of, write
from servers import running

from srv.client import Client

pytestmark = pytest.mark.e2e

CODE = """
import os

import numpy as np
from srv import InvalidInput, Runtime


class Model(Runtime):
    def load(self):
        self.log.info("loaded here")
        return True

    def predict(self, x: np.ndarray, how: list[str] | None = None) -> dict[str, np.ndarray]:
        if how == ["raise"]:
            raise ValueError("secret")
        if how == ["refuse"]:
            raise InvalidInput("x is not to my taste")
        if how == ["tell"]:
            self.log.warning("this one")
        if how == ["exit"]:
            raise SystemExit(3)
        return {"twice": 2 * x, "pid": np.array([os.getpid()])}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write(folder, "double", CODE, process=True)
    write(folder, "beside", CODE)
    with running(folder, "--workers", "2") as server:
        yield server


def ask(server, *values, how=None, model="double"):
    inputs = [{"name": "x", "datatype": "FP64", "shape": [len(values)], "data": list(values)}]
    if how is not None:
        inputs.append({"name": "how", "datatype": "BYTES", "shape": [1], "data": [how]})
    return server.post(f"/v2/models/{model}/infer", {"id": "mine", "inputs": inputs})


def test_all_workers_ask_one_process_which_is_none_of_them(server):
    answers = [ask(server, 1.0, 2.5) for _ in range(20)]
    assert {answer.status for answer in answers} == {200}
    assert {json.dumps(answer.json["outputs"][0]["data"]) for answer in answers} == {"[2.0, 5.0]"}
    pids = {answer.json["outputs"][1]["data"][0] for answer in answers}
    assert len(pids) == 1
    command = Path(f"/proc/{pids.pop()}/cmdline").read_bytes().split(b"\0")
    assert command[1:4] == [b"-I", b"-m", b"srv.modelprocess"]


@pytest.mark.parametrize("model", ["double", "beside"])
def test_an_answer_is_the_same_from_a_process_as_from_a_worker(server, model):
    answer = ask(server, 3.0, model=model)
    answer.json["outputs"][1]["data"] = None
    assert answer.json["id"] == "mine"
    assert [output["name"] for output in answer.json["outputs"]] == ["twice", "pid"]
    twice = answer.json["outputs"][0]
    assert twice == {
        "name": "twice",
        "datatype": "FP64",
        "shape": [1],
        "data": [6.0],
        "parameters": {"content_type": "np"},
    }


@pytest.mark.parametrize("model", ["double", "beside"])
@pytest.mark.parametrize(
    "how, status, code, said",
    [
        ("raise", 500, "MODEL_ERROR", "Model '{}' raised ValueError; the server's log says more."),
        ("refuse", 400, "INVALID_INPUT", "x is not to my taste"),
        ("exit", 500, "MODEL_ERROR", "Model '{}' raised SystemExit; the server's log says more."),
    ],
)
def test_errors_are_those_of_a_model_in_a_worker(server, model, how, status, code, said):
    answer = ask(server, 1.0, how=how, model=model)
    assert (answer.status, answer.json) == (status, {"error": said.format(model), "code": code})


def test_a_wrong_request_is_refused_as_in_a_worker(server):
    asked = {"inputs": [{"name": "y", "datatype": "FP64", "shape": [1], "data": [1.0]}]}
    refused = server.post("/v2/models/double/infer", asked)
    beside = server.post("/v2/models/beside/infer", asked)
    assert refused.status == beside.status == 400
    assert refused.json == beside.json


def test_metadata_and_configuration_are_those_of_a_model_in_a_worker(server):
    for path in ("", "/config"):
        mine, beside = (server.get(f"/v2/models/{model}{path}").body for model in ("double", "beside"))
        assert mine.replace(b"double", b"beside") == beside


def test_it_answers_over_grpc(server):
    address = server.wait_for(r"listening on ([\d.:]+) for gRPC").group(1)
    with Client(f"grpc://{address}") as client:
        result = client.infer("double", {"x": np.array([1.0, 2.0])})
    assert result["twice"].tolist() == [2.0, 4.0]


def test_its_log_has_the_form_of_the_servers(server):
    line = server.wait_for(r"INFO +\[(\d+)\] srv\.model\.double: loaded here")
    assert int(line.group(1)) == pid_of(server, "double")


def test_what_it_logs_for_a_request_has_the_id_of_the_request(server):
    answer = ask(server, 1.0, how="tell")
    line = server.wait_for(r"WARNING \[(\d+)\] srv\.model\.double: this one id=(\S+)$")
    assert (int(line.group(1)), line.group(2)) == (pid_of(server, "double"), answer.headers["x-request-id"])


def test_requests_are_counted_as_those_of_a_worker(server):
    before = server.get("/v2/models/double/stats").json["model_stats"][0]["inference_stats"]["success"]["count"]
    for _ in range(3):
        assert ask(server, 1.0).status == 200
    stats = server.get("/v2/models/double/stats").json["model_stats"][0]
    assert stats["inference_stats"]["success"]["count"] == before + 3
    assert stats["inference_stats"]["compute_infer"]["ns"] > 0


def test_nothing_of_it_is_left_when_the_server_has_ended(tmp_path):
    write(tmp_path, "double", CODE, process=True)
    with running(tmp_path) as server:
        pid = pid_of(server, "double")
        assert server.stop() == 0
        assert not Path(f"/proc/{pid}").exists()
        assert not re.search(r"ERROR|Traceback", server.output)
