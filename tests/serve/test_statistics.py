"""Statistics and metrics over several workers, one of which is killed and replaced."""

import os
import re
import signal

import pytest
from servers import eventually, numbers, running, write_model

pytestmark = pytest.mark.e2e


def processes(server, without=None):
    """The workers' process ids, once there are three and all are ready."""
    text = server.get("/metrics").body.decode()
    found = {int(pid) for pid in re.findall(r'^process_start_time_seconds\{worker="(\d+)"\}', text, re.MULTILINE)}
    ready = all(server.get("/v2/health/ready").status == 200 for _ in range(12))
    return found if ready and len(found) == 3 and without not in found else None


def counted(server):
    """The requests by the statistics extension and by the metrics, and the observations in the histogram."""
    (row,) = server.get("/v2/models/double/stats").json["model_stats"]
    text = server.get("/metrics").body.decode()
    total = re.search(r'^srv_requests_total\{[^}]*outcome="ok"[^}]*\} (\S+)$', text, re.MULTILINE)
    seen = re.search(r"^srv_request_duration_seconds_count\{[^}]*\} (\S+)$", text, re.MULTILINE)
    return row["inference_stats"]["success"]["count"], float(total[1]), float(seen[1])


def test_what_three_workers_count_is_one_sum_that_outlives_a_killed_worker(tmp_path):
    write_model(tmp_path)
    with running(tmp_path, "--workers", "3") as server:
        workers = eventually(lambda: processes(server))
        for _ in range(60):  # each on a connection of its own
            assert server.post("/v2/models/double/infer", numbers(1)).status == 200
        assert {counted(server) for _ in range(12)} == {(60, 60.0, 60.0)}

        faces = r'^srv_queue_requests\{face="(\w+)",worker="(\d+)"\} 0.0$'
        queues = re.findall(faces, server.get("/metrics").body.decode(), re.MULTILINE)
        assert set(queues) == {(face, str(worker)) for face in ("rest", "grpc") for worker in workers}

        victim = min(workers)
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: processes(server, without=victim))

        assert {counted(server) for _ in range(12)} == {(60, 60.0, 60.0)}
        for _ in range(30):
            assert server.post("/v2/models/double/infer", numbers(1)).status == 200
        assert {counted(server) for _ in range(12)} == {(90, 90.0, 90.0)}
