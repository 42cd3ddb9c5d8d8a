"""Loading and unloading over several workers: when it has been answered, all of them serve the same."""

import json
import os
import signal
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from servers import eventually, numbers, running, write_model
from tritonclient.utils import InferenceServerException

from srv.serve import control_socket
from srv.serve.run_directory import control_address

pytestmark = pytest.mark.e2e

CONTROL = "/v2/repository/models/{}/{}"


def change(server, do, name="double"):
    return server.post(CONTROL.format(name, do), {})


def outcomes(server, count, name="double"):
    """What so many requests are answered, each on a connection of its own."""
    answers = [server.post(f"/v2/models/{name}/infer", numbers(1)) for _ in range(count)]
    return {answer.json["outputs"][0]["data"][0] if answer.status == 200 else answer.status for answer in answers}


@contextmanager
def over_grpc(server):
    """A client with a connection of its own."""
    address = server.wait_for(r"listening on (\S+) for gRPC").group(1)
    with tritonclient.grpc.InferenceServerClient(
        address, channel_args=[("grpc.use_local_subchannel_pool", 1)]
    ) as client:
        yield client


def outcomes_over_grpc(server, count, name="double"):
    given = tritonclient.grpc.InferInput("x", [1], "FP64")
    given.set_data_from_numpy(np.ones(1))
    found = set()
    for _ in range(count):
        with over_grpc(server) as client:
            try:
                found.add(client.infer(name, [given]).as_numpy("output")[0])
            except InferenceServerException as error:
                found.add(error.status())
    return found


def is_stopped(pid):
    states = [task.read_text().rpartition(")")[2].split()[0] for task in Path(f"/proc/{pid}/task").glob("*/stat")]
    return set(states) == {"T"}


def all_have_answered(server):
    """Ask once more; whether every worker has answered by now. One that is stopped before it can would delay the others."""
    outcomes(server, 1)
    return all(any(f"[{pid}] srv.access: " in line for line in server.lines) for pid in server.workers())


def each_worker(server):
    """Have one worker after the other answer alone."""
    pids = server.workers()
    for alone in pids:
        others = [pid for pid in pids if pid != alone]
        for pid in others:
            os.kill(pid, signal.SIGSTOP)
        eventually(lambda stopped=others: all(is_stopped(pid) for pid in stopped))
        try:
            yield alone
        finally:
            for pid in others:
                os.kill(pid, signal.SIGCONT)


@pytest.fixture
def directory(tmp_path_factory):
    """Where the server keeps its run directory."""
    place = tmp_path_factory.mktemp("t")

    def found():
        (made,) = place.glob("srv-*")
        return made

    found.environ = {"TMPDIR": str(place)}
    return found


def generations(server, directory):
    """The generation that each worker knows."""
    addresses = [control_address(directory(), pid) for pid in server.workers()]
    answers = [control_socket.ask(address, {"ask": "state"}) for address in addresses]
    return {answer["pid"]: answer["generation"] for answer in answers}


def test_when_a_load_or_an_unload_has_answered_all_workers_agree(tmp_path):
    write_model(tmp_path)
    with running(tmp_path, "--workers", "3") as server:
        write_model(tmp_path, predict="return 3 * x")
        assert change(server, "load").status == 200
        assert outcomes(server, 200) == outcomes_over_grpc(server, 200) == {3}
        with over_grpc(server) as client:
            client.unload_model("double")
            assert outcomes(server, 200) == {503}
            assert outcomes_over_grpc(server, 200) == {"StatusCode.UNAVAILABLE"}
            write_model(tmp_path, "late", predict="return 7 * x")
            client.load_model("late")
        assert outcomes(server, 200, "late") == outcomes_over_grpc(server, 200, "late") == {7}
        assert server.get("/v2/health/ready").status == 200


def test_a_load_that_fails_where_it_is_asked_changes_nothing_anywhere(tmp_path):
    write_model(tmp_path)
    with running(tmp_path, "--workers", "3") as server:
        write_model(tmp_path, load="raise ValueError('broken by now')")
        answer = change(server, "load")
        assert (answer.status, answer.json["code"]) == (400, "LOAD_FAILED")
        assert "ValueError: broken by now" in answer.json["error"]
        assert outcomes(server, 60) == {2}
        assert server.get("/v2/health/ready").status == 200


def test_a_killed_worker_comes_back_with_what_is_loaded_now(tmp_path):
    write_model(tmp_path, "double")
    write_model(tmp_path, "gone")
    with running(tmp_path, "--workers", "2") as server:
        write_model(tmp_path, "late", predict="return 7 * x")
        assert change(server, "load", "late").status == 200
        assert change(server, "unload", "gone").status == 200
        for killed in server.workers():
            os.kill(killed, signal.SIGKILL)
        server.wait_for("Another one takes its place", times=2)
        eventually(lambda: len(server.workers()) == 2 and all_have_answered(server))
        for _ in each_worker(server):
            eventually(lambda: server.get("/v2/health/ready").status == 200)
            assert outcomes(server, 1, "double") == {2}
            assert outcomes(server, 1, "late") == {7}
            assert outcomes(server, 1, "gone") == {503}
            states = {row["name"]: row["state"] for row in server.post("/v2/repository/index", {}).json}
            assert states == {"double": "READY", "late": "READY", "gone": "UNAVAILABLE"}


def test_what_was_loaded_and_unloaded_survives_a_reload(tmp_path):
    write_model(tmp_path, "double")
    write_model(tmp_path, "gone")
    with running(tmp_path, "--workers", "2") as server:
        assert change(server, "unload", "gone").status == 200
        write_model(tmp_path, "appeared", predict="return 5 * x")
        server.send(signal.SIGHUP)
        server.wait_for("Reloaded: new workers serve appeared, double;")
        eventually(lambda: len(server.workers()) == 2)
        assert outcomes(server, 40, "appeared") == {5}
        assert outcomes(server, 40, "gone") == {503}


def test_what_was_loaded_on_demand_survives_a_reload(tmp_path):
    write_model(tmp_path, "double")
    write_model(tmp_path, "other")
    (tmp_path / "settings.json").write_text(json.dumps({"load_models_at_startup": False}))
    with running(tmp_path) as server:
        assert change(server, "load").status == 200
        server.send(signal.SIGHUP)
        server.wait_for("Reloaded: new workers serve double;")


def test_a_load_during_a_reload_is_in_the_new_workers_too(tmp_path):
    os.mkfifo(tmp_path / "gate")
    write_model(tmp_path, "double")
    write_model(tmp_path, "slow")
    with running(tmp_path) as server:
        wait = f"if os.getppid() and not os.path.exists('{tmp_path}/passed'):\n"
        wait += f"    os.write(1, b'in load\\n')\n    Path('{tmp_path}/gate').read_text()"
        write_model(tmp_path, "slow", load=wait)
        server.send(signal.SIGHUP)
        server.wait_for("^in load$")
        write_model(tmp_path, "late", predict="return 7 * x")
        assert change(server, "load", "late").status == 200
        assert change(server, "unload", "double").status == 200
        (tmp_path / "passed").touch()
        (tmp_path / "gate").write_text("go")
        server.wait_for("Reloaded: new workers serve late, slow;")
        eventually(lambda: len(server.workers()) == 1)
        assert outcomes(server, 20, "late") == {7}
        assert outcomes(server, 20, "double") == {503}


def test_clients_go_to_the_old_workers_while_the_new_ones_load(tmp_path):
    os.mkfifo(tmp_path / "gate")
    write_model(tmp_path, "double")
    write_model(tmp_path, "slow")
    with running(tmp_path, "--workers", "2") as server:
        write_model(tmp_path, "slow", load=f"os.write(1, b'in load\\n')\nPath('{tmp_path}/gate').read_text()")
        server.send(signal.SIGHUP)
        for _ in range(2):
            server.wait_for("^in load$")
        assert outcomes(server, 60) == {2}
        assert outcomes_over_grpc(server, 20) == {2}
        (tmp_path / "gate").write_text("go")
        server.wait_for("Reloaded: new workers serve double, slow;")
        eventually(lambda: len(server.workers()) == 2)
        assert outcomes(server, 60) == {2}
        assert outcomes_over_grpc(server, 20) == {2}


def test_loads_and_unloads_at_once_end_in_one_state(tmp_path, directory):
    write_model(tmp_path)
    with running(tmp_path, "--workers", "3", environ=directory.environ) as server:
        answers = []
        orders = [threading.Thread(target=lambda: answers.append(change(server, "load"))) for _ in range(6)]
        orders += [threading.Thread(target=lambda: answers.append(change(server, "unload"))) for _ in range(2)]
        for order in orders:
            order.start()
        for order in orders:
            order.join()
        assert {answer.status for answer in answers} == {200}
        assert len(outcomes(server, 100)) == 1
        assert generations(server, directory) == dict.fromkeys(server.workers(), 9)
        write_model(tmp_path, predict="return 3 * x")
        assert change(server, "load").status == 200
        assert outcomes(server, 60) == {3}


FOLLOWS_NOT = (
    "if Path('{}/but').exists() and str(os.getpid()) == Path('{}/but').read_text():\n    raise ValueError('not I')"
)


def test_a_worker_that_cannot_follow_is_named_and_unready_until_it_can(tmp_path, directory):
    write_model(tmp_path)
    with running(tmp_path, "--workers", "3", environ=directory.environ) as server:
        write_model(tmp_path, load=FOLLOWS_NOT.format(tmp_path, tmp_path), predict="return 3 * x")
        stubborn = server.workers()[1]

        def incomplete():
            # The stubborn worker itself may be the one that is asked; then it fails, and changes nothing.
            (tmp_path / "but").write_text(str(stubborn))
            answer = change(server, "load")
            return answer if answer.status == 500 else None

        answer = eventually(incomplete)
        assert answer.json["code"] == "LOAD_INCOMPLETE"
        assert f"Worker {stubborn}: " in answer.json["error"]
        assert "ValueError: not I" in answer.json["error"]
        for pid in each_worker(server):
            ready = server.get("/v2/health/ready")
            assert ready.status == (503 if pid == stubborn else 200)
            assert outcomes(server, 1) == ({2} if pid == stubborn else {3})
        (tmp_path / "but").unlink()
        server.wait_for("This worker has caught up with the others.")
        assert outcomes(server, 60) == {3}


def test_a_worker_that_follows_too_slowly_is_a_deadline(tmp_path, directory):
    os.mkfifo(tmp_path / "gate")
    write_model(tmp_path)
    (tmp_path / "settings.json").write_text(json.dumps({"load_timeout": 1.5}))
    with running(tmp_path, "--workers", "2", environ=directory.environ) as server:
        wait = f"if not Path('{tmp_path}/first').exists():\n    Path('{tmp_path}/first').touch()\n"
        wait += f"else:\n    Path('{tmp_path}/gate').read_text()"
        write_model(tmp_path, load=wait, predict="return 3 * x")
        answer = change(server, "load")
        assert (answer.status, answer.json["code"]) == (504, "DEADLINE")
        assert set(generations(server, directory)) == set(server.workers())  # they answer while one follows
        (tmp_path / "gate").write_text("go")
        eventually(lambda: outcomes(server, 20) == {3})


def test_a_load_may_take_longer_than_a_request(tmp_path):
    write_model(tmp_path)
    (tmp_path / "settings.json").write_text(json.dumps({"request_timeout": 1}))
    with running(tmp_path) as server:
        write_model(tmp_path, load="time.sleep(1.5)", predict="return 3 * x")
        assert change(server, "load").status == 200
        assert outcomes(server, 1) == {3}


def test_a_model_that_changes_the_current_directory_changes_nothing_for_the_folder(tmp_path, monkeypatch):
    folder = tmp_path / "models"
    write_model(folder)
    write_model(folder, "mover", predict="os.chdir('/')\nreturn x")
    monkeypatch.chdir(tmp_path)
    with running(Path("models"), "--reload") as server:
        assert outcomes(server, 20, "mover") == {1}
        write_model(folder, "late", predict="return 7 * x")
        assert change(server, "load", "late").status == 200
        assert outcomes(server, 20, "late") == {7}
        write_model(folder, predict="return 3 * x")
        server.wait_for(r"^[^/]*double/models.py .*changed: loading model 'double' again")
        eventually(lambda: outcomes(server, 20) == {3})
        states = {row["name"]: row["state"] for row in server.post("/v2/repository/index", {}).json}
        assert states == {"double": "READY", "late": "READY", "mover": "READY"}
