"""Corrupt frames between a worker and a process, in either direction: a status at once, and right answers again soon."""

import ctypes
import os
import socket
import time
from contextlib import suppress
from pathlib import Path

import pytest
from process_servers import supervisor_of, workers_of, write
from servers import eventually, running

pytestmark = pytest.mark.e2e

#: Sends what is no frame of a right kind over every channel of its process, in place of an answer.
CODE = """
import os
import socket
import struct
import time
import zlib

import msgspec
import numpy as np
from srv import Runtime


def lie(said, **more):
    envelope = msgspec.msgpack.encode([{"stages": [0, 0, 0, 0]}, [said]])
    rest = struct.pack("<HBBIQIIQ", 3, more.get("flags", 0), 0, len(envelope), 1, 1, 0, more.get("payload", 0)) + envelope
    return struct.pack("<2sHI", b"sv", 1, zlib.crc32(rest)) + rest


MESSAGES = {
    "noise": os.urandom(300),
    "cut off": b"sv\\x01\\x00",
    "beyond the frame": lie(["output", "FP64", [1000], 0, 8000, {}, False]),
    "memory that is not there": lie(["output", "FP64", [1000], 0, 8000, {}, False], flags=1, payload=8000),
    "descriptors": lie(["output", "FP64", [0], 0, 0, {}, False]),
}


class Model(Runtime):
    def predict(self, x: np.ndarray, how: str = "") -> np.ndarray:
        if how:
            for name in os.listdir("/proc/self/fd"):
                try:
                    channel = socket.socket(fileno=os.dup(int(name)))
                    if channel.type == socket.SOCK_SEQPACKET:
                        socket.send_fds(channel, [MESSAGES[how]], [1] * 3 if how == "descriptors" else [])
                    channel.close()
                except OSError:
                    pass
            time.sleep(60)
        return 2 * x
"""
MESSAGES = ["noise", "cut off", "beyond the frame", "memory that is not there", "descriptors"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write(folder, "model", CODE, process=True, request_timeout=20.0)
    write(folder, "other", CODE, process=True)
    with running(folder, "--no-access-log") as server:
        yield server


def ask(server, how="", *, model="model"):
    inputs = [{"name": "x", "datatype": "FP64", "shape": [1], "data": [1.5]}]
    if how:
        inputs.append({"name": "how", "datatype": "BYTES", "shape": [1], "data": [how]})
    return server.post(f"/v2/models/{model}/infer", {"inputs": inputs})


def answers(server, model="model"):
    """Load the model again, so that nobody waits for the back-off, and wait until it answers rightly."""
    assert server.request("POST", f"/v2/repository/models/{model}/load").status == 200
    return eventually(lambda: ask(server, model=model).status == 200)


@pytest.mark.parametrize("how", MESSAGES)
def test_a_process_that_sends_what_is_no_frame_costs_its_own_requests_alone(server, how):
    answers(server)
    began = time.monotonic()
    answer = ask(server, how)
    assert (answer.status, answer.json["code"]) == (503, "UNAVAILABLE")
    assert time.monotonic() - began < 15
    assert ask(server, model="other").json["outputs"][0]["data"] == [3.0]
    answers(server)
    assert ask(server).json["outputs"][0]["data"] == [3.0]


def descriptor_of(pid: int, number: int) -> int:
    """A descriptor of another process, as one of this process's own, or -1."""
    libc = ctypes.CDLL(None, use_errno=True)
    taken = -1
    pidfd = os.pidfd_open(pid)
    with suppress(OSError):
        taken = libc.syscall(438, pidfd, number, 0)  # pidfd_getfd, which Python has not
    os.close(pidfd)
    return taken


def test_a_process_that_hears_what_is_no_frame_answers_soon_again(server):
    answers(server)
    (worker,) = workers_of(server)
    supervisor = supervisor_of(server)
    sent = 0
    for each in Path(f"/proc/{worker}/fd").iterdir():
        taken = descriptor_of(worker, int(each.name))
        if taken < 0:
            continue
        with suppress(OSError), socket.socket(fileno=taken) as channel:
            maker = int.from_bytes(channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 4), "little")
            if channel.type == socket.SOCK_SEQPACKET and maker == supervisor:  # it makes the channels to processes
                channel.send(b"nonsense" * 20)
                sent += 1
    if not sent:
        pytest.skip("this user may not take descriptors of other processes")
    eventually(lambda: ask(server).status == 200)
    eventually(lambda: ask(server, model="other").status == 200)
    assert ask(server).json["outputs"][0]["data"] == [3.0]
