"""Many clients that ask for nothing keep no other client out, on either face."""

import resource
import socket
import sys
import time
from contextlib import ExitStack

import grpc
import pytest
from servers import eventually, running, write_model
from tritonclient.grpc import service_pb2

from srv.grpc import connections
from srv.grpc.connections import most_connections

LIVE = "/inference.GRPCInferenceService/ServerLive"
INFER = "/inference.GRPCInferenceService/ModelInfer"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
PATIENCE = 30
MANY = 60


@pytest.fixture
def crowd():
    """Open many connections to an address, each with the first bytes of HTTP/2 or mute."""
    with ExitStack() as stack:

        def come(address, first):
            host, _, port = address.rpartition(":")
            for _ in range(MANY):
                connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=PATIENCE))
                connection.sendall(first)

        yield come


def is_let_in(address):
    """Return whether a new client is answered."""
    with grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        try:
            return channel.unary_unary(LIVE)(b"", timeout=PATIENCE) is not None
        except grpc.RpcError:
            return False


def open_connections(face):
    port = int(face.address.rpartition(":")[2])
    return len([*connections._connections(port)])


@pytest.mark.parametrize("first", [b"", PREFACE], ids=["mute", "idle"])
def test_at_the_limit_the_longest_idle_make_room_and_who_asks_stays(face, channel, crowd, until, first):
    made = face(max_connections=16)
    infer = channel(made).unary_unary(INFER)
    call = infer.future(service_pb2.ModelInferRequest(model_name="gate").SerializeToString())
    until(lambda: made.module("gate").running)
    crowd(made.address, first)

    until(lambda: is_let_in(made.address), PATIENCE)
    until(lambda: open_connections(made) <= 14, PATIENCE)
    made.module("gate").gate.set()
    assert call.result(PATIENCE)


def test_below_the_limit_nobody_is_closed(face, crowd, until):
    made = face(max_connections=10 * MANY)
    crowd(made.address, PREFACE)
    until(lambda: open_connections(made) == MANY)
    closer = connections.IdleConnections(10 * MANY, set)
    time.sleep(1.1)  # they are idle now
    assert closer.close_some(int(made.address.rpartition(":")[2])) == 0
    assert open_connections(made) == MANY


@pytest.mark.parametrize(
    "soft, hard, most",
    [(4096, 4096, 1000), (1024, 1024, 64), (1500, 1500, 372), (256, 256, 64), (256, 4096, 1000), (-1, -1, 1000)],
)
def test_the_limit_of_open_files_bounds_connections_beside_those_of_http(monkeypatch, soft, hard, most):
    raised = []
    monkeypatch.setattr(connections.resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(connections.resource, "setrlimit", lambda _, limits: raised.append(limits))
    assert most_connections(1000) == most
    assert raised in ([], [(min(2128, hard), hard)])


@pytest.mark.e2e
@pytest.mark.parametrize("first", [b"", PREFACE], ids=["mute", "idle"])
def test_neither_face_is_starved_where_few_files_may_be_open(tmp_path, crowd, first):
    write_model(tmp_path / "models")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nulimit -n 256\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard not in (-1, resource.RLIM_INFINITY) and hard < 4 * 5 * MANY:
        pytest.skip("too few files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4 * 5 * MANY), hard))
    with running(tmp_path / "models", python=python) as server:
        address = server.wait_for(r"listening on (\S+) for gRPC").group(1)
        for _ in range(5):
            crowd(address, first)
        assert server.get("/v2/health/live", timeout=PATIENCE).status == 200
        eventually(lambda: is_let_in(address), timeout=PATIENCE)
        server.wait_for("the longest idle were closed to make room")
        assert server.stop() == 0
