"""Loads, unloads and requests that hang or fail on real servers of two workers: they keep nobody else waiting."""

import json
import threading
import time
from contextlib import contextmanager
from textwrap import dedent

import pytest
from servers import eventually, numbers, running

pytestmark = pytest.mark.e2e

CODE = """
    import os, resource, time
    from pathlib import Path
    import numpy as np
    from srv import Runtime

    PLACE = Path({place!r})

    def wait(name):
        # Hangs where the file is there, says so, and goes on when the file is gone.
        if (PLACE / name).exists():
            os.write(1, f"in {{name}}\\n".encode())
        while (PLACE / name).exists():
            time.sleep(0.02)

    class Model(Runtime):
        parallel_load = {parallel}

        def load(self):
            wait(f"load {{self.name}}")

        def predict(self, x: np.ndarray) -> np.ndarray:
            wait(f"predict {{self.name}}")
            return {factor} * x

        def predict_stream(self, x: np.ndarray):
            yield {factor} * x
            wait(f"stream {{self.name}}")
            yield {factor} * x

        def unload(self):
            wait(f"unload {{self.name}}")
            os.write(1, f"unloaded {{self.name}} {factor}\\n".encode())
"""


def write(folder, name="m", *, factor=2, parallel=True, **settings):
    place = folder / name
    place.mkdir(exist_ok=True)
    (place / "models.py").write_text(dedent(CODE).format(place=str(folder), factor=factor, parallel=parallel))
    (place / "model-settings.json").write_text(json.dumps({"implementation": "models.Model"} | settings))


@pytest.fixture
def hang(tmp_path):
    """Makes a step of a model hang until the file is gone: hang("load m")."""
    made = []

    def begin(step):
        made.append(tmp_path / step)
        made[-1].touch()
        return made[-1]

    yield begin
    for path in made:
        path.unlink(missing_ok=True)


def change(server, do, name="m", *, timeout=30):
    return server.post(f"/v2/repository/models/{name}/{do}", {}, timeout=timeout)


def outcomes(server, name="m", count=40):
    """What so many requests are answered, each on a connection of its own."""
    answers = [server.post(f"/v2/models/{name}/infer", numbers(1)) for _ in range(count)]
    return {answer.json["outputs"][0]["data"][0] if answer.status == 200 else answer.status for answer in answers}


@contextmanager
def beside(call, *arguments, **named):
    """Run a call in a thread meanwhile; the list has what it gave in the end."""
    outcome = []
    thread = threading.Thread(target=lambda: outcome.append(call(*arguments, **named)))
    thread.start()
    yield outcome
    thread.join(60)
    assert outcome


def frames(response, count):
    """The next events of a stream."""
    found = []
    while len(found) < count:
        line = response.fp.readline()
        assert line
        if line.startswith(b"data: "):
            found.append(json.loads(line[6:])["outputs"][0]["data"][0])
    return found


def open_stream(server):
    connection = server.connect()
    connection.request(
        "POST", "/v2/models/m/infer_stream", json.dumps(numbers(1)), {"Content-Type": "application/json"}
    )
    response = connection.getresponse()
    assert response.status == 200
    return connection, response


def test_a_reload_serves_everywhere_while_a_stream_and_a_predict_of_the_old_model_go_on(tmp_path, hang):
    write(tmp_path)
    with running(tmp_path, "--workers", "2") as server:
        streaming = hang("stream m")
        connection, response = open_stream(server)
        assert frames(response, 1) == [2]
        server.wait_for("in stream m")
        predicting = hang("predict m")
        with beside(server.post, "/v2/models/m/infer", numbers(1)) as answered:
            server.wait_for("in predict m")
            for factor in (3, 4):
                write(tmp_path, factor=factor)
                assert change(server, "load").status == 200
            predicting.unlink()
            assert outcomes(server) == {4}
            streaming.unlink()
            assert frames(response, 1) == [2]
        connection.close()
        assert answered[0].json["outputs"][0]["data"] == [2]
        server.wait_for("unloaded m 2", times=2)
        server.wait_for("unloaded m 3", times=2)


def test_an_unload_answers_at_once_while_a_stream_goes_on_and_its_client_gets_the_rest(tmp_path, hang):
    write(tmp_path)
    with running(tmp_path, "--workers", "2") as server:
        streaming = hang("stream m")
        connection, response = open_stream(server)
        assert frames(response, 1) == [2]
        server.wait_for("in stream m")

        assert change(server, "unload").status == 200

        assert outcomes(server) == {503}
        assert change(server, "load").status == 200
        assert outcomes(server) == {2}
        streaming.unlink()
        assert frames(response, 1) == [2]
        connection.close()


def test_an_unload_that_hangs_blocks_no_load_and_is_named(tmp_path, hang):
    write(tmp_path)
    write(tmp_path, "other")
    with running(tmp_path, "--workers", "2") as server:
        hang("unload m")
        for factor in (3, 4):
            write(tmp_path, factor=factor)
            assert change(server, "load").status == 200
        assert outcomes(server) == {4}
        assert change(server, "unload", "other").status == 200
        assert change(server, "load", "other").status == 200
        server.wait_for(r"Model 'm' has been unloading for \d+ s; it is in models.py, line \d+, wait\(\)")


def test_an_unload_that_hangs_at_the_stop_is_named_and_the_server_ends_within_graceful_timeout(tmp_path, hang):
    write(tmp_path)
    write(tmp_path, "other")
    (tmp_path / "settings.json").write_text(json.dumps({"graceful_timeout": 2}))
    with running(tmp_path, "--workers", "2") as server:
        hang("unload m")
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 15  # the unload itself ends only with the test
        assert len([line for line in server.lines if "Model 'm' has not unloaded within" in line]) == 2
        assert server.lines.count("unloaded other 2") == 2


def test_a_load_that_hangs_blocks_no_other_model_and_is_named_with_the_place_in_its_code(tmp_path, hang):
    write(tmp_path)
    write(tmp_path, "other")
    write(tmp_path, "plain", parallel=False)
    with running(tmp_path, "--workers", "2") as server:
        loading = hang("load m")
        write(tmp_path, factor=3)
        with beside(change, server, "load", timeout=60) as answered:
            server.wait_for("in load m")
            write(tmp_path, "other", factor=3)
            for _ in range(2):
                assert change(server, "load", "other").status == 200
                assert outcomes(server, "other", 10) == {3}
                assert change(server, "unload", "other").status == 200
            assert change(server, "load", "plain").status == 200
            assert outcomes(server) == {2}
            server.wait_for(r"Model 'm' has been loading for \d+ s; it is in models.py, line \d+, wait\(\)", times=2)
            loading.unlink()
        assert answered[0].status == 200
        assert outcomes(server) == {3}


def test_a_load_that_hangs_in_a_worker_that_follows_blocks_no_other_model_there(tmp_path, hang):
    write(tmp_path)
    write(tmp_path, "other")
    (tmp_path / "settings.json").write_text(json.dumps({"load_timeout": 3}))
    with running(tmp_path, "--workers", "2") as server:
        write(tmp_path, factor=3)
        source = (tmp_path / "m" / "models.py").read_text()
        first = '        if (PLACE / "first").exists():\n            wait(f"load {self.name}")\n        (PLACE / "first").touch()\n'
        (tmp_path / "m" / "models.py").write_text(source.replace('        wait(f"load {self.name}")\n', first))
        loading = hang("load m")
        assert change(server, "load").status == 504
        server.wait_for("in load m")
        write(tmp_path, "other", factor=3)
        assert change(server, "load", "other").status == 200
        assert outcomes(server, "other") == {3}
        loading.unlink()
        eventually(lambda: outcomes(server) == {3})


def test_an_unload_does_not_wait_for_a_load_of_the_same_model_that_hangs(tmp_path, hang):
    write(tmp_path)
    with running(tmp_path, "--workers", "2") as server:
        loading = hang("load m")
        write(tmp_path, factor=3)
        with beside(change, server, "load", timeout=60) as answered:
            server.wait_for("in load m")
            assert change(server, "unload").status == 200
            assert outcomes(server) == {503}
            loading.unlink()
        assert answered[0].status == 400
        assert "was unloaded or loaded anew before its load had ended" in answered[0].json["error"]
        server.wait_for("unloaded m 3")
        assert outcomes(server) == {503}
        assert change(server, "load").status == 200
        assert outcomes(server) == {3}


def test_loads_of_one_model_at_once_leave_one_generation_in_each_worker(tmp_path):
    write(tmp_path)
    with running(tmp_path, "--workers", "2") as server:
        answers = []
        loads = [threading.Thread(target=lambda: answers.append(change(server, "load"))) for _ in range(4)]
        for load in loads:
            load.start()
        for load in loads:
            load.join()
        assert [answer.status for answer in answers] == [200] * 4
        server.wait_for("unloaded m 2", times=8)  # of five generations in each of two workers
        assert server.stop() == 0
        assert server.lines.count("unloaded m 2") == 10


BAD_WARM_UP = {"warmup": [{"inputs": [{"name": "y", "shape": [1], "datatype": "FP64", "data": [1]}]}]}


def test_a_load_that_fails_in_its_warm_up_is_unloaded_and_changes_nothing(tmp_path):
    write(tmp_path)
    with running(tmp_path, "--workers", "2") as server:
        write(tmp_path, factor=3, **BAD_WARM_UP)
        answer = change(server, "load")
        assert (answer.status, answer.json["code"]) == (400, "LOAD_FAILED")
        server.wait_for("unloaded m 3")
        assert outcomes(server) == {2}
        (row,) = server.post("/v2/repository/index", {}).json
        assert row["state"] == "READY"


LIMITED = """
    import resource
    import numpy as np
    from srv import Runtime

    class Model(Runtime):
        # Sets how large this worker's files may get: 0 stands for a disk that is full, -1 for one that is not.
        def predict(self, x: np.ndarray) -> np.ndarray:
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(x[0]), hard))
            return np.array([float(__import__("os").getpid())])
"""


def fill(server, size):
    """Let no file of any worker grow beyond a size."""
    pids = set()

    def all_heard():
        pids.update(server.post("/v2/models/disk/infer", numbers(size)).json["outputs"][0]["data"])
        return len(pids) == 2

    eventually(all_heard)


@pytest.mark.parametrize("do", ["load", "unload"])
def test_where_the_disk_is_full_a_change_is_an_error_that_says_so_and_changes_no_worker(tmp_path, do):
    write(tmp_path)
    write(tmp_path, "disk")
    (tmp_path / "disk" / "models.py").write_text(dedent(LIMITED))
    with running(tmp_path, "--workers", "2") as server:
        fill(server, 0)
        write(tmp_path, factor=3)
        answer = change(server, do)
        assert (answer.status, answer.json["code"]) == (503, "UNAVAILABLE")
        assert f"Model 'm' could not be {do}ed, and nothing has changed" in answer.json["error"]
        assert outcomes(server) == {2}
        assert server.get("/v2/health/ready").status == 200
        fill(server, -1)
        assert change(server, do).status == 200
        assert outcomes(server) == ({3} if do == "load" else {503})
