"""A request that the worker answers at its deadline, while its model runs on: told once, counted once."""

import json
import re

import pytest
from servers import eventually, numbers, running, write_model

pytestmark = pytest.mark.e2e


def test_a_request_that_runs_past_its_deadline_has_one_line_and_counts_once(tmp_path):
    gate = tmp_path / "gate"
    gate.touch()
    predict = f"while Path({str(gate)!r}).exists(): time.sleep(0.01)\nreturn x"
    write_model(tmp_path / "models", "waits", predict=predict)
    settings = {"implementation": "models.Model", "request_timeout": 1}
    (tmp_path / "models" / "waits" / "model-settings.json").write_text(json.dumps(settings))
    with running(tmp_path / "models") as server:
        late = server.post("/v2/models/waits/infer", numbers(1))
        assert (late.status, late.json["code"]) == (504, "DEADLINE")
        gate.unlink()

        def counted():
            lines = server.get("/metrics").body.decode().splitlines()
            return [line for line in lines if line.startswith("srv_requests_total{") and "DEADLINE" in line]

        eventually(counted)
        assert server.get("/v2/health/ready").status == 200  # whose line comes behind all others
        server.wait_for("GET /v2/health/ready 200")

        lines = [line for line in server.lines if "POST /v2/models/waits/infer" in line]
        assert [re.search(r" 504 .* model=waits outcome=DEADLINE", line) is not None for line in lines] == [True]
        (count,) = counted()
        assert 'model="waits"' in count
        assert count.endswith(" 1.0")
