"""gunicorn's internals: those of this gunicorn, and a server on one that lacks some."""

import os
import signal
from pathlib import Path

import pytest
from servers import eventually, launched, numbers, write_model

from srv.serve import gunicorn_internals
from srv.serve.gunicorn_internals import ARBITER_LACKS, Worker, lacks

CORE = Path(gunicorn_internals.__file__).parents[1]


def test_the_gunicorn_that_is_installed_has_all_that_is_needed():
    assert ARBITER_LACKS == ()


def test_what_a_class_has_not_is_named():
    assert lacks(Worker, ("notify", "dance"), sets=("tmp", "hat")) == ("dance", "hat")


def test_gunicorn_is_imported_in_one_module_but_for_what_it_documents():
    importing = {
        f"{path.relative_to(CORE)}: {line}"
        for path in CORE.rglob("*.py")
        for line in map(str.strip, path.read_text().splitlines())
        if line.startswith(("import gunicorn", "from gunicorn"))
    }
    others = {line for line in importing if not line.startswith("serve/gunicorn_internals.py")}
    assert others == {
        "serve/gthread.py: from gunicorn.http import errors",
        "serve/gunicorn_app.py: from gunicorn.app.base import BaseApplication",
    }


@pytest.mark.e2e
def test_on_a_gunicorn_that_srv_does_not_know_a_server_serves_by_gunicorns_own_master(tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text("import gunicorn.arbiter\ndel gunicorn.arbiter.Arbiter.handle_ttin\n")
    models = tmp_path / "models"
    write_model(models)

    def answer():
        try:
            response = server.post("/v2/models/double/infer", numbers(1))
        except OSError:  # a worker that is being replaced
            return None
        return response.json["outputs"][0]["data"] if response.status == 200 else None

    with launched(models, environ={"PYTHONPATH": str(site)}) as server:
        server.wait_for("gunicorn .* has no handle_ttin: its own master supervises the workers, and says less")
        eventually(lambda: answer() == [2])
        (killed,) = server.workers()
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: server.workers() not in ([], [killed]))
        eventually(lambda: answer() == [2])
        write_model(models, predict="return 3 * x")
        server.send(signal.SIGHUP)
        eventually(lambda: answer() == [3])
        assert server.stop() == 0
