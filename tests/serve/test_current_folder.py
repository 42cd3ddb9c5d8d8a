"""Models that change the current folder, on a real server that was started with relative paths."""

import json
import os
import signal
import subprocess

import pytest
from servers import eventually, launched, write_model

pytestmark = pytest.mark.e2e


@pytest.fixture
def below(tmp_path, monkeypatch):
    """A folder with a model, as the current one; and a further folder, which a link names."""
    write_model(tmp_path / "models", predict="os.chdir('/')\nreturn 2 * x")
    write_model(tmp_path / "further" / "real", "other")
    (tmp_path / "more").symlink_to(tmp_path / "further" / "real")
    (tmp_path / "models" / "settings.json").write_text(json.dumps({"models_dir": "../more"}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def numbers():
    return {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [1.0]}]}


def rows(server):
    answer = server.post("/v2/repository/index", {})
    assert answer.status == 200
    return {row["name"]: row["state"] for row in answer.json}


@pytest.mark.parametrize("worker_class", ["srv", "gthread"])
def test_a_model_that_changes_the_current_folder_changes_no_load(below, worker_class):
    environ = {"SRV_WORKER_CLASS": worker_class, "SRV_MODEL_CONTROL": "true"}
    with launched("models", environ=environ) as server:
        server.wait_ready()
        for model in ("double", "other"):
            assert server.post(f"/v2/models/{model}/infer", numbers()).status == 200
        write_model(below / "models", "late")
        for model in ("double", "other", "late"):
            assert server.post(f"/v2/repository/models/{model}/load", {}).status == 200
            assert server.post(f"/v2/models/{model}/infer", numbers()).status == 200
        assert rows(server) == dict.fromkeys(("double", "late", "other"), "READY")
        (below / "more").unlink()
        write_model(below / "further" / "second", "second")
        (below / "more").symlink_to(below / "further" / "second")  # links are followed when a model is looked for
        assert server.post("/v2/repository/models/second/load", {}).status == 200

        server.send(signal.SIGHUP)
        server.wait_for("Reloaded")
        assert server.post("/v2/models/second/infer", numbers()).status == 200


def test_edits_are_seen_after_a_model_has_changed_the_current_folder(below):
    with launched("models", "--reload") as server:
        server.wait_ready()
        assert server.post("/v2/models/double/infer", numbers()).status == 200
        write_model(below / "models", predict="return 3 * x")
        eventually(
            lambda: (
                server.post("/v2/models/double/infer", numbers()).json.get("outputs", [{"data": [0]}])[0]["data"]
                == [3.0]
            )
        )


def test_a_certificate_of_a_relative_path_is_read_after_a_change_of_the_folder(below):
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -keyout key.pem -out cert.pem"
    subprocess.run(command.split(), check=True, capture_output=True)
    environ = {"SRV_TLS__CERTFILE": "cert.pem", "SRV_TLS__KEYFILE": "key.pem"}
    with launched("models", environ=environ) as server:
        server.wait_ready()
        (worker,) = server.workers()
        os.kill(worker, signal.SIGKILL)
        eventually(lambda: server.workers() not in ([worker], []))
        server.send(signal.SIGHUP)
        server.wait_for("Reloaded")
