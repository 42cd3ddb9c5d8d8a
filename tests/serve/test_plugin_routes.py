"""A plugin's route that takes long, in a real server: what it holds up is nothing but itself."""

import threading
import time

import pytest
from distributions import installed_in
from servers import eventually, numbers, running, write_model

pytestmark = pytest.mark.e2e

ROUTE = """
import time
from pathlib import Path
from srv import hookimpl

class Explanation:
    def on_get(self, req, resp, model):
        Path({begun!r}).touch()
        while Path({begun!r}).exists():
            time.sleep(0.01)
        resp.media = {{}}

@hookimpl
def srv_http_routes():
    return [("/v2/models/{{model}}/explanation", Explanation())]
"""


def test_a_slow_route_below_the_models_leaves_the_thread_that_leads_alone(tmp_path, monkeypatch):
    begun, gate = tmp_path / "begun", tmp_path / "gate"
    site = tmp_path / "site"
    site.mkdir()
    gate.touch()
    write_model(tmp_path / "models", "waits", predict=f"while Path({str(gate)!r}).exists(): time.sleep(0.01)\nreturn x")
    monkeypatch.setenv("PYTHONPATH", str(site))
    with installed_in(site) as made:
        made.add(
            "acme-explainer",
            "[srv.plugins]\nexplainer = explainer_routes\n",
            modules={"explainer_routes": ROUTE.format(begun=str(begun))},
        )
        with running(tmp_path / "models", "--threads", "2") as server:
            path = "/v2/models/waits/explanation"
            asked = [
                threading.Thread(target=server.get, args=(path,)),
                threading.Thread(target=server.post, args=("/v2/models/waits/infer", numbers(1))),
            ]
            for thread in asked:
                thread.start()
            eventually(begun.exists)
            another = threading.Thread(target=server.get, args=(path,))  # while every thread is busy
            another.start()
            time.sleep(0.2)

            assert server.get("/v2/health/live", timeout=5).status == 200
            assert server.get("/v2/models/waits", timeout=5).status == 200

            gate.unlink()
            asked[1].join()
            while any(thread.is_alive() for thread in (asked[0], another)):
                begun.unlink(missing_ok=True)
                time.sleep(0.05)
