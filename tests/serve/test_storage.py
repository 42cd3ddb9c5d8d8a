"""A server whose model is elsewhere: workers fetch it once, a reload sees what changed, and no secret is told."""

import json
import re
import threading

import numpy as np
import pytest
from servers import eventually, launched, numbers, running, write_model
from web_server import web_server

pytestmark = pytest.mark.e2e

LOAD = "self._factor = float(self.artifact().read_text())"
SECRETS = ("s3cretpass", "5ignature0123456789", "anna")


def write_elsewhere(folder, name, uri):
    """Write a model that multiplies by the number in a file elsewhere."""
    place = write_model(folder, name, load=LOAD, predict="return self._factor * x")
    settings = {"implementation": "models.Model", "parameters": {"uri": uri}}
    (place / "model-settings.json").write_text(json.dumps(settings))


@pytest.fixture(scope="module")
def web():
    with web_server() as web:
        yield web


def secret_uri(web, path):
    return f"{web.url(path, user='anna:s3cretpass')}?X-Amz-Signature=5ignature0123456789"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def server(web, folder, tmp_path_factory):
    web.put("/factor.txt", b"2")
    write_elsewhere(folder, "times", secret_uri(web, "/factor.txt"))
    environ = {"SRV_CACHE_DIR": str(tmp_path_factory.mktemp("cache")), "SRV_LOG_LEVEL": "debug"}
    with launched(folder, "--workers", "3", environ=environ) as server:
        server.wait_ready()
        eventually(lambda: server.get("/v2/health/ready").status == 200)
        yield server


def times(server):
    """What the model makes of 1, asked often enough that each worker has answered."""
    answers = [server.post("/v2/models/times/infer", numbers(1.0)) for _ in range(12)]
    return {answer.json["outputs"][0]["data"][0] for answer in answers}


def load(server, name):
    return server.post(f"/v2/repository/models/{name}/load", {})


def test_three_workers_fetch_an_artifact_once(server, web):
    eventually(lambda: web.count("HEAD", "/factor.txt") >= 3)

    assert times(server) == {2.0}
    assert web.count("GET", "/factor.txt") == 1


def test_a_reload_of_what_has_not_changed_downloads_nothing_and_one_of_what_has_serves_it_in_every_worker(server, web):
    assert load(server, "times").status == 200
    assert web.count("GET", "/factor.txt") == 1

    web.put("/factor.txt", b"3", etag='"2"')
    assert load(server, "times").status == 200

    assert times(server) == {3.0}
    assert web.count("GET", "/factor.txt") == 2


@pytest.mark.parametrize(
    ("name", "path", "told"),
    [("gone", "/gone.txt", "404"), ("forbidden", "/forbidden.txt", "403")],
)
def test_a_failed_load_says_why_without_the_secrets_of_the_uri(server, web, folder, name, path, told):
    web.put("/forbidden.txt", status=403)
    write_elsewhere(folder, name, secret_uri(web, path))

    answer = load(server, name)

    assert answer.status >= 400
    assert told in answer.json["error"]
    assert f"http://***@127.0.0.1:{web.port}{path}?***" in answer.json["error"]


def test_a_scheme_that_nobody_fetches_is_named(server, folder):
    write_elsewhere(folder, "shelf", "shelf://host/factor.txt?token=5ignature0123456789")

    assert "No installed plugin fetches 'shelf://'" in load(server, "shelf").json["error"]


def test_no_secret_of_a_uri_is_in_the_log_or_in_any_answer(server, web, folder):
    write_elsewhere(folder, "lost", secret_uri(web, "/lost.txt"))
    answers = [
        load(server, "lost"),
        server.post("/v2/repository/index", {}),
        *(server.get(path) for path in ("/v2/models/times", "/v2/models/times/config", "/v2/models", "/metrics")),
    ]

    told = server.output + "".join(answer.body.decode() for answer in answers)

    assert "times" in told
    assert [secret for secret in SECRETS if secret in told] == []


def test_a_server_that_is_killed_in_mid_download_leaves_nothing_and_starts_later_without_the_storage(web, tmp_path):
    content = b"4" + b" " * 100_000  # so that half of it is a number too
    page = web.put("/slow.txt", content, rest=threading.Event())
    write_elsewhere(tmp_path / "models", "times", web.url("/slow.txt"))
    environ = {"SRV_CACHE_DIR": str(tmp_path / "cache")}
    with launched(tmp_path / "models", environ=environ) as server:
        page.half.wait(60)
        eventually(lambda: [path for path in (tmp_path / "cache").rglob("slow.txt") if path.stat().st_size])
        server.kill()
    page.rest = None

    with running(tmp_path / "models", environ=environ) as server:
        assert times(server) == {4.0}
    (copy,) = (tmp_path / "cache").rglob("slow.txt")
    assert copy.read_bytes() == content
    assert web.count("GET", "/slow.txt") == 2

    page.status = 503
    with running(tmp_path / "models", environ=environ) as server:
        assert times(server) == {4.0}
        assert re.search(r"WARNING .* it answers 503 .*The copy that was downloaded on .* is served", server.output)


def test_of_the_runtimes_that_a_files_name_leaves_open_the_fetched_content_chooses(server, web, folder):
    lightgbm = pytest.importorskip("lightgbm")
    rows = np.arange(40.0).reshape(20, 2)
    booster = lightgbm.train({"verbosity": -1, "min_data_in_leaf": 1}, lightgbm.Dataset(rows, rows[:, 0]), 3)
    web.put("/trees/model.bst", booster.model_to_string().encode())
    web.put("/page/model.bst", b"<html>Sign in</html>")
    for name in ("trees", "page"):
        (folder / name).mkdir()
        settings = {"parameters": {"uri": web.url(f"/{name}/model.bst")}}
        (folder / name / "model-settings.json").write_text(json.dumps(settings))

    assert load(server, "trees").status == 200
    assert server.get("/v2/models/trees").json["platform"] == "lightgbm"
    assert server.get("/v2/models/trees/config").json["backend"] == "lightgbm"

    refused = load(server, "page")
    assert refused.status == 400
    assert "xgboost refuses model.bst: it says no; the file begins with '<html>Sign in</html>'" in refused.json["error"]
