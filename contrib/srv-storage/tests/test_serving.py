"""A server whose model is in S3: its workers fetch it once, a download that is killed leaves nothing, no secret is told."""

import json
from contextlib import ExitStack

import numpy as np
import pytest

from srv.testing import Server

MODEL = """
import numpy as np
from srv import Runtime


class Model(Runtime):
    def load(self):
        self.content = np.fromfile(self.artifact(), np.uint8)

    def predict(self, x: np.ndarray) -> np.ndarray:
        return np.array([self.content.size, self.content[-1]])
"""
SIZE = 20_000_000
LOADS = 5


def content(last):
    return bytes([1]) * (SIZE - 1) + bytes([last])


def write_model(folder, name, uri):
    (folder / name).mkdir(parents=True)
    (folder / name / "models.py").write_text(MODEL)
    settings = {"implementation": "models.Model", "parameters": {"uri": uri}}
    (folder / name / "model-settings.json").write_text(json.dumps(settings))


@pytest.fixture
def models(bucket, tmp_path):
    """A folder with a model whose content is in a bucket."""
    (bucket / "weights.bin").write_bytes(content(7))
    write_model(tmp_path / "models", "large", f"s3://{bucket.name}/weights.bin")
    return tmp_path / "models"


@pytest.fixture
def start(models, tmp_path):
    """Start servers that share a cache; what a test has not stopped is killed at its end."""
    environ = {"SRV_CACHE_DIR": str(tmp_path / "cache"), "SRV_LOG_LEVEL": "debug"}
    with ExitStack() as killed:

        def started(*, workers):
            server = Server(models, environ={**environ, "SRV_WORKERS": str(workers)})
            killed.callback(server.kill)
            return server

        yield started


def last_byte(server):
    """What the model says, asked often enough that each worker has answered."""
    answers = [server.infer("large", {"x": np.zeros(1)}) for _ in range(12)]
    assert {answer["output"][0] for answer in answers} == {SIZE}
    return {answer["output"][1] for answer in answers}


def load(server, name="large"):
    return server.post(f"/v2/repository/models/{name}/load", {})


def test_three_workers_fetch_a_model_once_however_often_it_is_loaded_until_it_changes(
    s3, bucket, models, start, secret
):
    server = start(workers=3)
    for _ in range(LOADS):
        assert load(server).status == 200
    assert last_byte(server) == {7}
    assert len(s3.gets("/weights.bin")) == 1

    (bucket / "weights.bin").write_bytes(content(8))
    assert load(server).status == 200
    assert last_byte(server) == {8}
    assert len(s3.gets("/weights.bin")) == 2

    write_model(models, "gone", f"s3://{bucket.name}/gone.bin")
    answers = [load(server, "gone"), server.post("/v2/repository/index", {}), server.get("/v2/models/large")]
    assert answers[0].status == 400
    assert f"Nothing is stored at s3://{bucket.name}/gone.bin." in answers[0].json["error"]
    assert server.stop() == 0
    told = server.logs + "".join(answer.body.decode() for answer in answers)
    assert f"s3://{bucket.name}/weights.bin" in told
    assert secret not in told


def test_a_download_that_is_killed_leaves_nothing_to_the_next_servers_which_fetch_once_together(s3, start, tmp_path):
    s3.limit = SIZE // 2
    server = start(workers=1)
    assert s3.reached.wait(60)
    server.kill()
    complete = [path for path in (tmp_path / "cache").rglob("weights.bin") if path.stat().st_size == SIZE]
    assert all("part-" in str(path) for path in complete)

    s3.limit = None
    s3.goes_on.set()
    before = len(s3.gets("/weights.bin"))
    servers = [start(workers=2), start(workers=2)]
    assert [last_byte(each) for each in servers] == [{7}, {7}]
    assert len(s3.gets("/weights.bin")) == before + 1
    [copy] = (tmp_path / "cache").rglob("weights.bin")
    assert (copy.stat().st_size, "part-" in str(copy)) == (SIZE, False)
    assert [each.stop() for each in servers] == [0, 0]
