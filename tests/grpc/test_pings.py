"""Pings: clients that look often whether the server is there lose no call by it; a flood of pings ends."""

import socket
import struct

import grpc
import pytest
from tritonclient.grpc import service_pb2

pytestmark = pytest.mark.e2e

INFER = "/inference.GRPCInferenceService/ModelInfer"
REQUEST = service_pb2.ModelInferRequest(model_name="gate").SerializeToString()
OFTEN = [
    ("grpc.keepalive_time_ms", 1000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.use_local_subchannel_pool", 1),
]
GOAWAY, PING, SETTINGS = 7, 6, 4
TOO_MANY_PINGS = b"too_many_pings"


def test_a_client_that_pings_all_the_time_keeps_its_call(face):
    made = face()
    with grpc.insecure_channel(made.address, options=OFTEN) as channel:
        infer = channel.unary_unary(INFER)
        call = infer.future(REQUEST, timeout=60)
        with pytest.raises(grpc.FutureTimeoutError):
            call.result(8)  # seven pings; to grpcio itself the third is one too many
        made.module("gate").gate.set()
        assert call.result(60)


def frame(kind, payload=b"", flags=0):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + b"\0\0\0\0" + payload


def read_exactly(connection, count):
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def last_frame(address, pings):
    """Send so many pings, a thousand at once; return the kind of the frame that answers the last, and its payload."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS))
        for sent in range(0, pings, 1000):
            numbers = range(sent, min(sent + 1000, pings))
            connection.sendall(b"".join(frame(PING, struct.pack(">Q", number)) for number in numbers))
            last = struct.pack(">Q", numbers[-1])
            kind = payload = None
            while (kind, payload) != (PING, last):
                head = read_exactly(connection, 9)
                kind, payload = head[3], read_exactly(connection, int.from_bytes(head[:3], "big"))
                if kind == GOAWAY:
                    return kind, payload
    return kind, payload


@pytest.mark.parametrize("interval, kind", [(5.0, GOAWAY), (0.0, PING)], ids=["counted", "not counted"])
def test_pings_in_a_row_are_too_many_at_last_unless_nobody_counts_them(face, interval, kind):
    made = face(grpc_min_ping_interval=interval)
    assert last_frame(made.address, 9_000)[0] == PING
    answered, payload = last_frame(made.address, 12_000)
    assert (answered, TOO_MANY_PINGS in payload) == (kind, kind == GOAWAY)


def test_pings_that_are_as_far_apart_as_the_setting_says_are_never_too_many(face):
    made = face(grpc_min_ping_interval=0.000_001)
    assert last_frame(made.address, 12_000)[0] == PING
