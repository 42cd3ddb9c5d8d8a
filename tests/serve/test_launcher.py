"""The start of a server: what it prints, when it is ready, and how it ends where it cannot serve."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from servers import eventually, launched, numbers, running, write_model

pytestmark = pytest.mark.e2e


def last_line(server):
    return server.output.splitlines()[-1]


def test_a_server_says_where_it_serves_what_and_how_long_that_took(tmp_path):
    write_model(tmp_path, "double")
    with running(tmp_path, "--workers", "2") as server:
        said = server.wait_for(r"serving on (\S+): (.*)")
        assert said.group(1) == server.url()
        assert re.fullmatch(r"double \(2 workers, gRPC on 127\.0\.0\.1:\d+, ready after \d+\.\d s\)", said.group(2))
        assert server.post("/v2/models/double/infer", numbers(1, 2)).json["outputs"][0]["data"] == [2, 4]


def test_the_address_is_printed_whatever_the_log_level_is(tmp_path):
    with running(tmp_path, "--log-level", "error") as server:
        server.wait_for("serving on ")


def test_a_server_with_no_model_is_ready(tmp_path):
    with running(tmp_path) as server:
        assert server.get("/v2/health/ready").status == 200


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    "load, reason",
    [
        ("raise ValueError('no such weights')", "ValueError: no such weights"),
        ("return False", "load() returned False."),
        ("import nothing_of_that_name", "No module named 'nothing_of_that_name'"),
        ("sys.exit(3)", "SystemExit: 3"),
        ("os._exit(3)", "A worker ended with exit code 3 while loading model broken."),
        ("os._exit(0)", "A worker ended with exit code 0 while loading model broken."),
        ("import ctypes\nctypes.string_at(0)", "A worker was killed by SIGSEGV while loading model broken."),
        (
            "os.kill(os.getpid(), signal.SIGKILL)",
            "A worker was killed by SIGKILL (out of memory?) while loading model broken.",
        ),
    ],
    ids=["raises", "false", "import", "exits", "ends", "ends well", "crashes", "killed"],
)
def test_a_model_that_does_not_load_ends_the_start_with_its_reason_last(tmp_path, load, reason, workers):
    write_model(tmp_path, "broken", load=load)
    with launched(tmp_path, "--workers", workers) as server:
        assert server.wait() == 1
        assert reason in last_line(server)
        assert "broken" in last_line(server)


def test_with_continue_the_others_are_served_and_the_server_is_not_ready(tmp_path):
    write_model(tmp_path, "broken", load="raise ValueError('no such weights')")
    write_model(tmp_path, "double")
    with running(tmp_path, "--on-load-error", "continue") as server:
        assert server.post("/v2/models/double/infer", numbers(1)).json["outputs"][0]["data"] == [2]
        assert server.get("/v2/health/ready").status == 503
        assert server.get("/v2/health/live").status == 200


def test_while_a_model_loads_slowly_liveness_answers_and_worker_timeout_does_not_strike(tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    (tmp_path / "settings.json").write_text(json.dumps({"worker_timeout": 2}))
    write_model(tmp_path, "slow", load=f"Path('{gate}').read_text()")
    with launched(tmp_path) as server:
        server.wait_for("loading model slow …")
        until = time.monotonic() + 4
        while time.monotonic() < until:
            assert server.get("/v2/health/live").status == 200
            assert server.get("/v2/health/ready").json["code"] == "UNAVAILABLE"
        gate.write_text("open")
        server.wait_ready()
        assert server.get("/v2/health/ready").status == 200


def test_a_server_says_that_it_serves_when_every_worker_is_ready(tmp_path):
    gate, first = tmp_path / "gate", tmp_path / "first"
    os.mkfifo(gate)
    write_model(
        tmp_path,
        "slow",
        load=f"try:\n    Path('{first}').mkdir()\nexcept FileExistsError:\n    Path('{gate}').read_text()",
    )
    with launched(tmp_path, "--workers", "2") as server:
        server.wait_for("Model 'slow' loaded")
        server.wait_for("loading model slow …")
        assert "serving on" not in server.output
        gate.write_text("open")
        server.wait_ready()


def test_a_port_that_is_taken_is_a_sentence_with_host_port_and_flag(tmp_path):
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        launched(tmp_path, "--http-port", str(taken.getsockname()[1])) as server,
    ):
        assert server.wait() == 1
        assert server.output == (
            f"Port {taken.getsockname()[1]} on 127.0.0.1 is taken by another process. Stop that one, or choose another "
            "port with --http-port (--http-port 0 takes a free one)."
        )


def test_two_servers_cannot_share_a_port(tmp_path):
    with running(tmp_path) as first, launched(tmp_path, "--http-port", first.url().rpartition(":")[2]) as second:
        assert second.wait() == 1
        assert "is taken by another process" in last_line(second)


def test_a_server_started_right_after_one_was_killed_waits_for_the_workers_of_that_one(tmp_path):
    gate = tmp_path / "gate"
    write_model(
        tmp_path / "models", predict=f"while not os.path.exists({str(gate)!r}):\n    time.sleep(0.01)\nreturn 2 * x"
    )
    place = tmp_path / "temporary"
    place.mkdir()
    with running(tmp_path / "models", environ={"TMPDIR": str(place)}) as first:
        grpc = first.wait_for(r"listening on 127.0.0.1:(\d+) for gRPC").group(1)
        ports = ("--http-port", first.url().rpartition(":")[2], "--grpc-port", grpc)
        (orphan,) = first.workers()
        with closing(first.connect()) as connection:
            connection.request("POST", "/v2/models/double/infer", json.dumps(numbers(1)))
            os.kill(first.process.pid, signal.SIGKILL)
            with launched(tmp_path / "models", *ports, environ={"TMPDIR": str(place)}) as second:
                second.wait_ready()
                assert second.get("/v2/health/ready").status == 200
                gate.touch()
                eventually(lambda: not Path("/proc", str(orphan)).exists())
                assert second.stop() == 0
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(
    "files, said",
    [
        (64, r"The limit on open files is 64, and srv needs 128 beside its connections\. Raise the limit"),
        (
            400,
            r"WARNING .* The limit on open files, 400, lets each worker hold 272 connections; max_connections is 1000\.",
        ),
    ],
    ids=["hardly any", "fewer than are wanted"],
)
def test_a_limit_on_open_files_that_leaves_too_little_room_is_said(tmp_path, files, said):
    command = f"ulimit -n {files} && exec {sys.executable} -m srv start {tmp_path} --http-port 0 --grpc-port 0"
    with subprocess.Popen(["sh", "-c", command], stderr=subprocess.PIPE, text=True) as server:
        lines = iter(server.stderr.readline, "")
        assert any(re.search(said, line) for line in lines)
        if files == 64:
            assert server.wait() == 1
        else:
            assert any("serving on" in line for line in lines)
            server.terminate()
            server.stderr.read()


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path):
    with launched(tmp_path / "nowhere") as server:
        assert server.wait() == 1
        assert len(server.lines) == 1
        assert "nowhere' is not there." in last_line(server)


@pytest.mark.parametrize("text", ["{", '{"workers": "two"}', '{"wrokers": 2}'], ids=["no json", "type", "unknown"])
def test_settings_that_cannot_be_used_are_a_sentence(tmp_path, text):
    (tmp_path / "settings.json").write_text(text)
    with launched(tmp_path) as server:
        assert server.wait() == 1
        assert len(server.lines) == 1
        assert "settings.json" in last_line(server)


def test_ipv6_is_served_where_the_host_says_so(tmp_path):
    with running(tmp_path, "--host", "::1") as server:
        assert server.url().startswith("http://[::1]:")
        assert server.get("/v2/health/live").status == 200


def test_a_unix_socket_is_served_and_its_file_goes_with_the_server(tmp_path, short_path):
    path = short_path / "http.sock"
    with running(tmp_path, "--host", f"unix:{path}") as server:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
            assert client.makefile("rb").readline().startswith(b"HTTP/1.1 200")
        assert server.stop() == 0
        assert not path.exists()


def test_the_file_of_a_server_that_was_killed_does_not_stand_in_the_way(tmp_path, short_path):
    path = short_path / "http.sock"
    with running(tmp_path, "--host", f"unix:{path}") as server:
        server.kill()
    assert path.exists()
    with running(tmp_path, "--host", f"unix:{path}") as server:
        assert server.stop() == 0


def test_workers_share_the_cores_unless_the_user_has_spoken(tmp_path):
    write_model(tmp_path, load="print('threads', os.environ['OPENBLAS_NUM_THREADS'], flush=True)")
    with running(tmp_path, "--workers", str(2 * len(os.sched_getaffinity(0)))) as server:
        server.wait_for("threads 1$")
    with running(tmp_path, environ={"OPENBLAS_NUM_THREADS": "7"}) as server:
        server.wait_for("threads 7$")


def test_the_collector_is_on_when_a_model_loads_and_leaves_alone_what_was_imported_before(tmp_path):
    write_model(tmp_path, load="import gc\nprint('on', gc.isenabled(), gc.get_freeze_count() > 20_000, flush=True)")
    with running(tmp_path) as server:
        server.wait_for("on True True$")


def test_gunicorns_own_configuration_is_not_read(tmp_path):
    (tmp_path / "gunicorn.conf.py").write_text("raise SystemExit('read')")
    environ = {"GUNICORN_CMD_ARGS": "--workers 7 --bind 127.0.0.1:1", "WEB_CONCURRENCY": "5", "PORT": "1"}
    with running(tmp_path, environ=environ) as server:
        assert len(server.workers()) == 1


def test_a_request_during_the_first_load_is_answered_with_503(tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    write_model(tmp_path, "slow", load=f"Path('{gate}').read_text()")
    with launched(tmp_path) as server:
        server.url()
        answer = server.post("/v2/models/slow/infer", numbers(1))
        assert (answer.status, answer.json["code"]) == (503, "UNAVAILABLE")


def test_lines_of_json_are_json_every_one(tmp_path):
    write_model(tmp_path, load="raise ValueError('two\\nlines')")
    with launched(tmp_path, "--log-format", "json", "--on-load-error", "continue") as server:
        server.wait_for("serving on ")
        server.get("/v2/health/live")
        assert server.stop() == 0
        lines = [json.loads(line) for line in server.lines]
    assert any("Traceback" in line.get("exception", "") for line in lines)
    access = next(line for line in lines if line["logger"] == "srv.access")
    assert (access["method"], access["path"], access["status"]) == ("GET", "/v2/health/live", 200)
    assert access["request_id"]


def test_the_access_log_can_be_turned_off(tmp_path):
    with running(tmp_path, "--no-access-log") as server:
        server.get("/v2/health/live")
        assert server.stop() == 0
        assert "srv.access" not in server.output


def test_logging_that_a_model_sets_up_is_left_alone(tmp_path):
    write_model(
        tmp_path,
        load="import logging\nlogging.basicConfig(format='MINE %(message)s', force=True)",
        predict="self.log.info('in predict')\nreturn x",
    )
    with running(tmp_path) as server:
        server.post("/v2/models/double/infer", numbers(1))
        server.wait_for("^MINE in predict$")


def test_the_launcher_has_no_thread_and_imports_no_numpy(tmp_path):
    write_model(tmp_path)
    with running(tmp_path) as server:
        process = Path("/proc", str(server.process.pid))
        assert len(list((process / "task").iterdir())) == 1
        assert not re.search(r"numpy|grpc|falcon", (process / "maps").read_text())
