"""Requests that want much memory for little: the worker's stays within a bound, however often they come."""

import http.client
import json
import zlib
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import pytest
from calls import Call, have, read_call
from servers import running

from srv.grpc.descriptors import INFERENCE, ModelInferRequest
from srv.rest.binary import HEADER

pytestmark = [pytest.mark.hostile, pytest.mark.timeout(300)]

MEBIBYTE = 1 << 20
#: What a request may hold, as sent or unpacked. The worker's memory may grow by so many times that, at its peak.
LIMIT = 8 * MEBIBYTE
PEAK = 32
#: And by so much in the later half of the rounds, where malloc keeps hardly any more of it: a body that leaked would show.
LEFT = 8 * LIMIT
ROUNDS = 6

WIRE = Path(__file__).parents[1] / "wire"
GOOD = read_call(WIRE / "grpc" / "good" / "echo-raw.call")
INFER, MODEL = f"/{INFERENCE}/ModelInfer", "/v2/models/echo/infer"


def bomb(mebibytes, *, gzip):
    """So many mebibytes of brackets, packed, a kilobyte each; its checksum is wrong, and nobody should come so far."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31 if gzip else 15)
    head = packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH)
    piece = packer.compress(b"[" * MEBIBYTE) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + mebibytes * piece


def tensor(shape, data, **more):
    return json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": shape, **more}]}).encode()[:-3] + data


def nested(opening, closing=b""):
    depth = (LIMIT - 1000) // len(opening + closing)
    return opening * depth + closing * depth


def binary(shape, datatype, size):
    return json.dumps(
        {"inputs": [{"name": "x", "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}}]}
    ).encode()


def over_http():
    """Bodies of the largest size that is taken, and smaller ones that claim to be larger."""
    yield {}, b'{"inputs":' + nested(b"[")
    yield {}, nested(b'{"a":')
    yield {}, b'{"inputs": [], "z": ' + nested(b"[", b"]") + b"}"
    yield {}, tensor([1], b', "data": ' + nested(b"[", b"]") + b"}]}")
    for shape in ([2**62], [2**40], [2**32, 2**32], [0, 2**63 - 1]):
        yield {}, tensor(shape, b', "data": [1]}]}')
        head = binary(shape, "BYTES", 8)
        yield {HEADER: str(len(head))}, head + bytes(8)
    head = binary([2**40], "FP32", 2**42)
    yield {HEADER: str(len(head))}, head
    for encoding in ("gzip", "deflate"):
        packed = bomb(1000, gzip=encoding == "gzip")
        yield {"Content-Encoding": encoding}, packed
        yield {"Content-Encoding": encoding, HEADER: "100"}, packed


def over_grpc():
    """The same in messages, and in frames."""
    for size in (16_000, LIMIT - 1000):
        yield Call(INFER, {}, size * b"\x7b", framed=False)  # groups in groups
        yield Call(INFER, {}, b"\x0a\x04echo" + size // 2 * b"\x2a\x00", framed=False)  # empty inputs
        for shape in ([2**62], [2**40], [2**32, 2**32], [0, 2**63 - 1]):
            message = ModelInferRequest(model_name="echo", raw_input_contents=[bytes(size)])
            message.inputs.add(name="x", datatype="BYTES", shape=shape)
            yield Call(INFER, {}, message.SerializeToString(), framed=False)
    for encoding in ("gzip", "deflate"):
        packed = bomb(50, gzip=encoding == "gzip")
        frame = b"\x01" + len(packed).to_bytes(4, "big") + packed
        yield Call(INFER, {"grpc-encoding": encoding}, frame, framed=True)
    yield Call(INFER, {}, b"\x00" + (LIMIT - 1).to_bytes(4, "big") + b"\x0a\x04echo", framed=True)


def from_files():
    for file in (WIRE / "bad").glob("*.http"):
        head, _, body = file.read_bytes().partition(b"\n\n")
        first, *lines = head.decode().split("\n")
        yield first.split(" ", 1), dict(line.split(": ", 1) for line in lines), body.removesuffix(b"\n")


def memory(pid, what):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split(f"{what}:")[1].split()[0]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells the memory of a process")
def test_greedy_requests_take_memory_for_a_few_bodies_at_most_and_leak_none(tmp_path, figure):
    environ = {"SRV_MAX_BODY_SIZE": str(LIMIT), "SRV_ACCESS_LOG": "false"}
    files = list(from_files())
    bodies, calls = list(over_http()), list(over_grpc())
    calls += map(read_call, sorted((WIRE / "grpc" / "bad").glob("*.call")))
    with running(WIRE / "models", environ=environ) as server:
        (pid,) = server.workers()
        url, address = urlsplit(server.url()), server.wait_for(r"gRPC on ([^\s,]+)")[1]

        def post(method, path, headers, body):
            connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
            try:
                connection.request(method, path, body, headers)
                return connection.getresponse().status
            except (ConnectionError, http.client.RemoteDisconnected):  # refused before all of it was read
                return 400
            finally:
                connection.close()

        def one_round():
            refused = [post("POST", MODEL, headers, body) for headers, body in bodies]
            assert set(refused) <= {400, 413}
            for (method, path), headers, body in files:
                post(method, path, headers, body)
            for call in calls:
                have(call, channel, address)
            assert have(GOOD, channel, address)["status"] == "OK"

        with grpc.insecure_channel(address) as channel:
            post("POST", MODEL, {}, tensor([1], b', "data": [1]}]}'))
            have(GOOD, channel, address)
            before = memory(pid, "VmRSS")
            one_round()
            after = [memory(pid, "VmRSS")]
            for _ in range(ROUNDS - 1):
                one_round()
                after.append(memory(pid, "VmRSS"))
        peak = memory(pid, "VmHWM") - before
        assert server.workers() == [pid]
    grown = [round((each - before) / MEBIBYTE, 1) for each in after]
    figure(
        f"greedy requests of up to {LIMIT >> 20} MiB: +{peak / MEBIBYTE:.1f} MiB at the peak, {grown} after each round"
    )
    assert peak <= PEAK * LIMIT
    assert after[-1] - after[ROUNDS // 2 - 1] <= LEFT
