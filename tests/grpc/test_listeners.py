"""A worker that leaves stops listening before it tells its clients to go."""

import socket
from pathlib import Path

import grpc
import pytest

from srv.grpc.listeners import stop_listening


def test_nobody_connects_any_more_and_who_is_connected_is_served_on(face, channel):
    made = face()
    live = channel(made).unary_unary("/inference.GRPCInferenceService/ServerLive")
    assert live(b"")
    host, port = made.address.split(":")
    assert stop_listening(int(port)) >= 1
    assert live(b"")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))
    assert stop_listening(int(port)) == 0


def test_other_sockets_are_left_alone(short_path):
    before = len(list(Path("/proc/self/fd").iterdir()))
    with socket.create_server(("127.0.0.1", 0)) as other, socket.socket(socket.AF_UNIX) as local:
        local.bind(str(short_path / "socket"))
        local.listen()
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            assert stop_listening(unused.getsockname()[1]) == 0
        socket.create_connection(other.getsockname()).close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_port_that_is_closed_so_does_not_hinder_the_stop(face):
    made = face()
    with grpc.insecure_channel(made.address) as connection:
        connection.unary_unary("/inference.GRPCInferenceService/ServerLive")(b"")
        made.server.stop(5)
        assert made.server.stopped(5)
