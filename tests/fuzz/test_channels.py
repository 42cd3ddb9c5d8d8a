"""Frames between processes, nearly right and then damaged or lying, at both ends of a channel."""

import os
import socket
import struct
import threading
import time
import zlib
from contextlib import suppress
from fcntl import F_ADD_SEALS, fcntl
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from srv.channels.answering import answer_calls
from srv.channels.calls import Calls
from srv.channels.channel import Channel, pair
from srv.channels.errors import ChannelClosed
from srv.channels.frames import PROTOCOL, FrameKind, Packed
from srv.tensors import DTYPES, Tensor

pytestmark = pytest.mark.fuzz

SECONDS = float(os.environ.get("SRV_FUZZ_SECONDS", "40")) / 2
SOON = 60.0
NUMBERS = st.integers(0, 70) | st.sampled_from([2**16, 2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1])
PLAIN = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=3)
VALUES = st.recursive(
    PLAIN | st.binary(max_size=3),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=2), values, max_size=3),
    max_leaves=8,
)
#: Bytes that promise far more than comes, each of a kind that a parser could trust.
PROMISES = st.sampled_from(
    [b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\x91" * 5000,
     b"\x92\xc0\xdd\xff\xff\xff\xff", b"\x92\x81\x90\xc0\x90", b"\xc1", b"\xd9\x01\xff", b"\xc7\xff\x05"]
)  # fmt: skip


@st.composite
def tensors(draw):
    datatype = draw(st.sampled_from([*DTYPES]))
    shape = tuple(draw(st.lists(st.integers(0, 3), max_size=3)))
    size = int(np.prod(shape, dtype=int))
    if datatype == "BYTES":
        array = np.empty(size, dtype=object)
        array[:] = draw(st.lists(st.binary(max_size=3), min_size=size, max_size=size))
        if size and draw(st.booleans()):
            array[0] = None
        missing = None in array.tolist()
        return Tensor.trusted("x", array.reshape(shape), datatype, missing=missing)
    data = bytes(byte & 1 for byte in draw(st.binary(min_size=size * 8, max_size=size * 8)))
    return Tensor.trusted("x", np.frombuffer(data, DTYPES[datatype], size).reshape(shape).copy(), datatype)


def said_of(tensors):
    return [(tensor.name, tensor.datatype, tensor.shape, tensor.missing, tensor.data.tolist()) for tensor in tensors]


@st.composite
def placed(draw):
    """What an envelope says of a tensor: right for the bytes of BODY, or nearly."""
    datatype = draw(st.sampled_from([*DTYPES]))
    count = draw(st.integers(0, 4))
    size = 4 * count if datatype == "BYTES" else count * DTYPES[datatype].itemsize
    said = ["x", datatype, [count], 0, size, {}, datatype == "BYTES" and draw(st.booleans())]
    lies = {
        1: st.sampled_from([*DTYPES, "", "FP128"]),
        2: st.lists(NUMBERS, max_size=4) | st.just([1] * 70),
        3: NUMBERS,
        4: NUMBERS | st.sampled_from([69_999, 70_000]),
        5: st.dictionaries(st.text(max_size=2), VALUES, max_size=2),
        6: st.booleans(),
    }
    for place in draw(st.lists(st.sampled_from([*lies]), max_size=2)):
        said[place] = draw(lies[place] | VALUES if draw(st.integers(0, 9)) == 0 else lies[place])
    return said


#: Elements of BYTES of lengths that are right and wrong, and numbers that are no booleans.
BODY = struct.pack("<IIIIIIII", 0, 0, 0, 0, 2, 2**32 - 1, 2**31, 1) * 4


@st.composite
def lies(draw):
    """A frame whose checksum is right, in one piece or with memory, that says something that is not so."""
    envelope = msgspec.msgpack.encode([draw(VALUES), draw(st.lists(placed(), max_size=3))])
    if not draw(st.integers(0, 5)):
        envelope = draw(st.binary(max_size=60) | PROMISES | st.just(envelope[: draw(st.integers(0, len(envelope)))]))
    flags = draw(st.sampled_from([0, 3, 7, 11, 15]))
    spilled = bool(flags & 8)
    behind = b"" if flags else bytes(-(40 + len(envelope)) % 16) + BODY
    said = {
        "kind": draw(st.sampled_from([*map(int, FrameKind), 0, 77])),
        "flags": flags,
        "descriptors": 0,
        "envelope": len(envelope),
        "call": draw(st.sampled_from([0, 1, 1, 1, 2, 2**64 - 1])),
        "segment": draw(st.integers(1, 3)),
        "slot": draw(st.integers(0, 2) | st.just(4095)),
        "payload": draw(st.sampled_from([200, 200, 70_000])) if flags else len(BODY),
    }
    lies = {
        "flags": st.integers(0, 255),
        "descriptors": st.integers(0, 3),
        "envelope": NUMBERS.map(lambda number: number % 2**32),
        "segment": NUMBERS.map(lambda number: number % 2**32),
        "slot": NUMBERS.map(lambda number: number % 2**32) | st.just(4096),
        "payload": NUMBERS.map(lambda number: number % 2**64) | st.just(70_001),
    }
    for name in draw(st.lists(st.sampled_from([*lies]), max_size=1)):
        said[name] = draw(lies[name])
    rest = struct.pack("<HBBIQIIQ", *said.values())
    shown = rest + (b"" if spilled else envelope) + behind
    checksum = zlib.crc32(envelope, zlib.crc32(rest)) if spilled else zlib.crc32(shown)
    held = envelope + bytes(-len(envelope) % 64) + BODY if spilled else BODY
    given = [(4096, 7, b""), (70_000, 7, held)] if flags else []
    for place, _ in enumerate(given):
        if not draw(st.integers(0, 5)):
            given[place] = (draw(st.sampled_from([0, 1, 4096, 70_000])), draw(st.sampled_from([0, 2, 7])), held)
    return struct.pack("<2sHI", b"sv", PROTOCOL, checksum) + shown, given[: draw(st.sampled_from([2, 2, 2, 2, 1, 0]))]


@st.composite
def damaged(draw):
    """The bytes of a right frame, and then perhaps some others, fewer or more."""
    pieces = Packed(draw(VALUES), draw(st.lists(tensors(), max_size=2))).frame(FrameKind.RESPONSE, 1, 0, 0)
    data = bytearray(b"".join(map(bytes, pieces)))
    for _ in range(draw(st.integers(0, 3))):
        data[draw(st.integers(0, len(data) - 1))] ^= draw(st.integers(1, 255))
    return bytes(
        data[: draw(st.just(len(data)) | st.integers(1, len(data)))] + draw(st.just(b"") | st.binary(max_size=9))
    )


#: Messages, each with the memory that comes with it: its size, its seals, and how it begins.
MEMORY = st.lists(st.just((4096, 7, b"")), max_size=3)
MESSAGES = lies() | lies() | st.tuples(damaged() | st.binary(min_size=1, max_size=100), st.just([]) | MEMORY)


def send(sock, message):
    """Send bytes with shared memory that is new."""
    data, given = message
    made = []
    for size, seals, held in given:
        descriptor = os.memfd_create("fuzz", os.MFD_ALLOW_SEALING)
        made.append(descriptor)
        os.write(descriptor, held)
        os.ftruncate(descriptor, size)
        fcntl(descriptor, F_ADD_SEALS, seals)
    try:
        with suppress(BrokenPipeError, ConnectionResetError):
            socket.send_fds(sock, [data], made)
    finally:
        for descriptor in made:
            os.close(descriptor)


def fuzz(strategy, claim, seconds):
    """Try a claim for so many seconds."""
    until = time.monotonic() + seconds

    @settings(max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def holds(drawn):
        claim(drawn)

    while time.monotonic() < until:
        holds()


def test_what_is_right_arrives_as_it_was_sent():
    one, other = pair()

    def claim(drawn):
        head, sent = drawn
        one.send(FrameKind.REQUEST, 3, head, sent)
        frame = other.receive(time.monotonic() + SOON)
        assert repr(frame.head) == repr(head)
        assert repr(said_of(frame.tensors)) == repr(said_of(sent))

    fuzz(st.tuples(VALUES, st.lists(tensors(), max_size=3)), claim, SECONDS / 4)


def test_whatever_comes_is_a_frame_or_ends_the_channel():
    before = len([*Path("/proc/self/fd").iterdir()])

    def claim(messages):
        hostile, mine = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        channel = Channel(mine)
        for message in messages:
            send(hostile, message)
        hostile.close()
        with suppress(ChannelClosed):
            while (frame := channel.receive(time.monotonic() + SOON)) is not None:
                for descriptor in frame.descriptors:
                    os.close(descriptor)
                assert all(tensor.data.shape == tensor.shape for tensor in frame.tensors)
                assert sum(tensor.data.nbytes for tensor in frame.tensors if tensor.datatype != "BYTES") <= 70_000
        assert channel.closed

    fuzz(st.lists(MESSAGES, min_size=1, max_size=4), claim, SECONDS / 4)
    assert len([*Path("/proc/self/fd").iterdir()]) <= before + 3


def test_a_call_to_a_hostile_process_is_answered_or_fails_and_never_hangs():
    def claim(messages):
        hostile, mine = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        calls = Calls(Channel(mine))
        began = time.monotonic()
        call = calls.open(FrameKind.REQUEST, {"id": "a"}, [Tensor("x", np.arange(3))])
        for message in messages:
            send(hostile, message)
        hostile.close()
        with suppress(ChannelClosed):
            while call.receive(began + SOON) is not None:
                pass
        assert time.monotonic() - began < SOON / 2

    fuzz(st.lists(MESSAGES, min_size=1, max_size=4), claim, SECONDS / 4)


def test_a_process_that_hears_nonsense_ends_that_channel_and_answers_on_another():
    one, other = pair()

    def echo(channel, frame):
        for descriptor in frame.descriptors:
            os.close(descriptor)
        channel.send(FrameKind.RESPONSE, frame.call, frame.head, frame.tensors)

    threading.Thread(target=answer_calls, args=(other, lambda frame: echo(other, frame)), daemon=True).start()
    calls = Calls(one)

    def claim(messages):
        hostile, mine = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        channel = Channel(mine)
        answering = threading.Thread(
            target=answer_calls, args=(channel, lambda frame: echo(channel, frame)), daemon=True
        )
        answering.start()
        for message in messages:
            send(hostile, message)
        send(hostile, (b"nonsense", []))
        answering.join(SOON)
        assert not answering.is_alive()
        hostile.close()
        with calls.open(FrameKind.REQUEST, "good", [Tensor("x", np.arange(3))]) as call:
            frame = call.receive(time.monotonic() + SOON)
        assert (frame.head, frame.tensors[0].data.tolist()) == ("good", [0, 1, 2])

    fuzz(st.lists(MESSAGES, min_size=1, max_size=4), claim, SECONDS / 4)
    one.close()
