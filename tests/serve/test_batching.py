"""Batches of real servers, which form across both faces."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest
from servers import ask, eventually, numbers, running, write_model
from tritonclient.grpc import InferenceServerClient, InferInput

pytestmark = pytest.mark.e2e

WAIT_FOR_A_FULL_BATCH = """
if x[0] == 0:
    Path(self.settings.folder, "runs").touch()
    self.full.wait(30)
elif len(x) == 6:
    self.full.set()
return np.full(len(x), len(x))
"""


def over_http(server):
    (output,) = server.post("/v2/models/many/infer", numbers(1)).json["outputs"]
    return output["data"]


def over_grpc(server):
    address = server.wait_for(r"listening on (\S+) for gRPC").group(1)
    given = InferInput("x", [1], "FP64")
    given.set_data_from_numpy(np.array([1.0]))
    with closing(InferenceServerClient(address)) as client:
        return client.infer("many", [given]).as_numpy("output").tolist()


@pytest.mark.parametrize("worker_class", ["srv", "gthread"])
def test_requests_of_both_faces_run_as_one_and_there_are_threads_for_a_full_batch(tmp_path, worker_class):
    settings = {"threads": 1, "grpc_threads": 1, "worker_class": worker_class, "max_streams": 1}
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    with running(tmp_path) as server, ThreadPoolExecutor(7) as pool:
        folder = write_model(
            tmp_path, "many", load="import threading\nself.full = threading.Event()", predict=WAIT_FOR_A_FULL_BATCH
        )
        batches = {"max_batch_size": 6, "max_batch_time": 30}
        (folder / "model-settings.json").write_text(json.dumps({"implementation": "models.Model", **batches}))
        assert server.post("/v2/repository/models/many/load", {}).status == 200

        alone = pool.submit(server.post, "/v2/models/many/infer", numbers(0))
        eventually((folder / "runs").exists)
        together = [pool.submit(ask, server) for ask in (over_http, over_grpc) * 3]

        assert [asked.result(30) for asked in together] == [[6]] * 6
        assert alone.result(30).status == 200
        (row,) = server.get("/v2/models/many/stats").json["model_stats"]
        assert (row["inference_count"], row["execution_count"]) == (7, 2)
        assert [(each["batch_size"], each["compute_infer"]["count"]) for each in row["batch_stats"]] == [(1, 1), (6, 1)]


def test_of_many_clients_at_once_each_gets_its_own_rows(tmp_path):
    folder = write_model(
        tmp_path, "many", load="import time\nself.wait = time.sleep", predict="self.wait(0.001)\nreturn -x"
    )
    batches = {"max_batch_size": 12, "max_batch_time": 0.001, "concurrency": 1}
    (folder / "model-settings.json").write_text(json.dumps({"implementation": "models.Model", **batches}))

    def answers(client):
        with closing(server.connect()) as connection:
            for number in range(100 * client, 100 * client + 100):
                body = json.dumps(numbers(number)).encode()
                yield ask(connection, "POST", "/v2/models/many/infer", body).json["outputs"][0]["data"]

    with running(tmp_path) as server, ThreadPoolExecutor(16) as pool:
        given = [*pool.map(list, map(answers, range(16)))]
        (row,) = server.get("/v2/models/many/stats").json["model_stats"]

    assert given == [[[-number] for number in range(100 * client, 100 * client + 100)] for client in range(16)]
    assert row["inference_count"] == 1600
    assert row["execution_count"] < 800
