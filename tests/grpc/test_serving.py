"""gRPC of real servers: ports, several workers, and the end; what Triton's clients hear is in tests/clients."""

import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import grpc
import numpy as np
import pytest
from servers import Server, eventually, launched, numbers, running, write_model
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

pytestmark = pytest.mark.e2e


def address_of(server: Server) -> str:
    return server.wait_for(r"listening on (\S+) for gRPC").group(1)


@contextmanager
def client_of(server):
    client = InferenceServerClient(address_of(server), channel_args=[("grpc.use_local_subchannel_pool", 1)])
    try:
        yield client
    finally:
        client.close()


def doubled(client, value=3.0):
    return client.infer("double", [tensor(value)]).as_numpy("output").tolist()


def tensor(value):
    given = InferInput("x", [1], "FP64")
    given.set_data_from_numpy(np.array([value], np.float64))
    return given


def test_the_server_says_where_grpc_is(tmp_path):
    with running(tmp_path) as server:
        assert server.wait_for(r"serving on .*, gRPC on (\S+),").group(1) == address_of(server)


def test_without_a_port_there_is_no_grpc_and_nobody_imports_it(tmp_path):
    write_model(tmp_path, predict="return np.array([float('grpc' in sys.modules)])")
    with running(tmp_path, environ={"SRV_GRPC_PORT": "null"}) as server:
        assert server.post("/v2/models/double/infer", numbers(1)).json["outputs"][0]["data"] == [0]
        assert "gRPC" not in server.output


def test_a_grpc_port_that_is_taken_is_a_sentence_with_host_port_and_flag(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with launched(tmp_path, "--grpc-port", str(port)) as server:
            assert server.wait() == 1
    assert server.output.splitlines()[-1].endswith(
        f"Port {port} on 127.0.0.1 is taken by another process. Stop that one, or choose another port with --grpc-port "
        "(--grpc-port 0 takes a free one)."
    )


def test_two_servers_cannot_share_a_grpc_port_from_the_first_moment_on(tmp_path):
    with launched(tmp_path, "--workers", "2") as first:
        port = address_of(first).rpartition(":")[2]
        with launched(tmp_path, "--grpc-port", port) as second:  # while the first has no worker yet
            assert second.wait() == 1
            assert f"Port {port} on 127.0.0.1 is taken" in second.output
        first.wait_ready()
        with launched(tmp_path, "--grpc-port", port) as third:
            assert third.wait() == 1


def test_a_server_that_ended_leaves_its_port_to_the_next(tmp_path):
    write_model(tmp_path)
    with running(tmp_path) as first:
        port = address_of(first).rpartition(":")[2]
        with client_of(first) as client:
            assert doubled(client) == [6]
            assert first.stop() == 0  # while the client is connected
    with running(tmp_path, "--grpc-port", port) as second, client_of(second) as client:
        assert doubled(client) == [6]


def test_ipv6(tmp_path):
    write_model(tmp_path)
    with running(tmp_path, "--host", "::1") as server, client_of(server) as client:
        assert address_of(server).startswith("[::1]:")
        assert doubled(client) == [6]


def test_a_server_on_a_unix_socket_has_grpc_only_where_a_port_is_named(tmp_path, short_path):
    host = f"unix:{short_path / 'socket'}"
    with running(tmp_path, "--host", host) as server, client_of(server) as client:
        assert client.is_server_live()
    arguments = [sys.executable, "-m", "srv", "start", str(tmp_path), "--host", host]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        said = []
        for line in process.stderr:
            said.append(line)
            if "serving on " in line:
                process.terminate()
    assert "gRPC" not in "".join(said)
    assert process.returncode == 0


class Callers:
    """Clients that ask without a pause, and what they heard; they leave at the first error, or ask again."""

    def __init__(self, server, count=8, *, again=False):
        self.right, self.errors = 0, []
        self._again = again
        self._over = False
        self._address = address_of(server)
        self._threads = [threading.Thread(target=self._ask) for _ in range(count)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over = True
        for thread in self._threads:
            thread.join(30)

    def _ask(self):
        client = InferenceServerClient(self._address, channel_args=[("grpc.use_local_subchannel_pool", 1)])
        while not self._over or not self._again:
            try:
                assert doubled(client) == [6]
                self.right += 1
            except InferenceServerException as error:
                self.errors.append(error)
                if not self._again:
                    break
        client.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_under_load_answers_what_is_in_flight_and_ends_with_0(tmp_path, workers):
    write_model(tmp_path, predict="time.sleep(0.05)\nopen(os.environ['RAN'], 'a').write('x')\nreturn 2 * x")
    ran = tmp_path / "ran"
    with running(tmp_path, "--workers", str(workers), environ={"RAN": str(ran)}) as server:
        with Callers(server) as callers:
            eventually(lambda: callers.right >= 20)
            assert server.stop() == 0
        assert all(line[:2] == "20" for line in server.lines), server.output  # nothing that is not the log's
        # Whoever was let in was answered; all others heard that nobody is there any more.
        assert len(ran.read_text()) == callers.right
        # grpcio cancels a call that comes in at the moment in which it tells its clients to go.
        assert {error.status() for error in callers.errors} <= {"StatusCode.UNAVAILABLE", "StatusCode.CANCELLED"}


def test_sighup_under_load_runs_no_call_in_vain(tmp_path, figure):
    write_model(tmp_path, predict="open(os.environ['RAN'], 'a').write('x')\nreturn 2 * x")
    ran = tmp_path / "ran"
    with running(tmp_path, "--no-access-log", environ={"RAN": str(ran)}) as server:
        before = server.workers()
        with Callers(server, 4, again=True) as callers:
            eventually(lambda: callers.right >= 20)
            server.send(signal.SIGHUP)
            server.wait_for("Reloaded: new workers serve double")
            eventually(lambda: not set(before) & set(server.workers()))
            seen = callers.right
            eventually(lambda: callers.right >= seen + 20)
        # A client waits for its answer when it is told to connect anew, and loses nothing. Only one that was slow to ask,
        # on a busy machine, may ask in that very moment; grpcio cancels its call then, which has not run.
        figure(f"SIGHUP under load over gRPC: {callers.right} right, {len(callers.errors)} lost")
        assert len(callers.errors) <= 4, callers.errors
        assert {error.status() for error in callers.errors} <= {"StatusCode.CANCELLED", "StatusCode.UNAVAILABLE"}
        assert len(ran.read_text()) == callers.right
        assert server.stop() == 0


def test_a_call_that_outlasts_graceful_timeout_does_not_keep_the_server(tmp_path):
    write_model(tmp_path, predict="self.log.info('predicting')\ntime.sleep(60)\nreturn x")
    with running(tmp_path, environ={"SRV_GRACEFUL_TIMEOUT": "0.5"}) as server:
        with Callers(server, 1) as callers:
            server.wait_for("predicting")
            assert server.stop(timeout=20) == 0
        assert len(callers.errors) == 1


def test_clients_that_only_stand_there_do_not_keep_the_server(tmp_path):
    write_model(tmp_path)
    over = threading.Event()
    with running(tmp_path) as server, client_of(server) as client:
        assert doubled(client) == [6]
        stream = client._client_stub.ModelStreamInfer(iter(over.wait, True))
        host, _, port = address_of(server).rpartition(":")
        with socket.create_connection((host, int(port))):
            began = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - began < 10  # graceful_timeout is 30
        with pytest.raises(grpc.RpcError):
            next(stream)
        over.set()


def test_calls_count_for_max_requests(tmp_path):
    write_model(tmp_path)
    with running(tmp_path, environ={"SRV_MAX_REQUESTS": "10"}) as server:
        before = server.workers()
        with client_of(server) as client:
            for _ in range(15):
                assert doubled(client) == [6]
        eventually(lambda: not set(before) & set(server.workers()))


def test_the_access_log_has_a_line_for_each_call(tmp_path):
    write_model(tmp_path)
    with running(tmp_path) as server, client_of(server) as client:
        client.infer("double", [tensor(1)], headers={"x-request-id": "abc"})
        line = server.wait_for("GRPC .*ModelInfer.*").group(0)
        assert re.fullmatch(r"GRPC /inference.GRPCInferenceService/ModelInfer 0 \d+\.\d ms id=abc model=double.*", line)
        with pytest.raises(InferenceServerException):
            client.infer("nobody", [tensor(1)])
        server.wait_for("GRPC .*ModelInfer 5 .* outcome=NOT_FOUND")
