import gc
import os
import socket
import struct
import threading
import time
from fcntl import F_ADD_SEALS, F_SEAL_SHRINK, fcntl
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from srv.cancellation import ClientDeadline
from srv.channels.channel import Channel, pair
from srv.channels.errors import BrokenFrame, ChannelClosed, OtherProtocol, SendTimedOut, UnsendableFrame
from srv.channels.frames import PROTOCOL, FrameFlag, FrameKind, Packed
from srv.tensors import DTYPES, Tensor

SOON = 30.0


def soon() -> float:
    return time.monotonic() + SOON


def sent(*tensors: Tensor, head: object = None):
    """What arrives of a frame with these tensors."""
    one, other = pair()
    one.send(FrameKind.REQUEST, 7, head, tensors)
    frame = other.receive(soon())
    assert frame is not None
    return frame


def descriptors() -> int:
    """How many descriptors this process has open."""
    gc.collect()
    return len([*Path("/proc/self/fd").iterdir()])


def array_of(datatype: str, size: int) -> np.ndarray:
    if datatype == "BYTES":
        array = np.empty(size, dtype=object)
        array[:] = [b"x" * (number % 7) for number in range(size)]
        return array
    return (np.arange(size) % 2).astype(DTYPES[datatype])


@pytest.mark.parametrize("size", [0, 1, 100, 100_000])
@pytest.mark.parametrize("datatype", DTYPES)
def test_every_datatype_arrives_as_it_was_sent_in_the_frame_and_in_memory(datatype, size):
    array = array_of(datatype, size)
    (tensor,) = sent(Tensor.trusted("x", array, datatype, {"content_type": "np"})).tensors
    assert (tensor.name, tensor.datatype, tensor.shape, dict(tensor.parameters)) == (
        "x", datatype, (size,), {"content_type": "np"},
    )  # fmt: skip
    assert tensor.data.dtype == array.dtype
    assert tensor.data.tolist() == array.tolist()
    assert not tensor.data.flags.writeable


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (3, 0), (2, 3, 4), (1,) * 32])
def test_shapes_arrive(shape):
    (tensor,) = sent(Tensor("x", np.ones(shape, np.float32))).tensors
    assert (tensor.shape, tensor.data.shape) == (shape, shape)


@pytest.mark.parametrize("size", [2, 50_000])
def test_missing_values_of_bytes_arrive(size):
    array = np.empty(size, dtype=object)
    array[0] = "naïve".encode()
    (tensor,) = sent(Tensor.trusted("x", array, "BYTES", missing=True)).tensors
    assert (tensor.missing, tensor.data.tolist()) == (True, array.tolist())


def test_several_tensors_of_a_frame_arrive_with_its_head():
    head = {"id": "a", "parameters": {"n": 2**63, "x": float("inf"), "deep": [{"y": None}], "blob": b"\xff"}}
    frame = sent(Tensor("a", np.arange(3)), Tensor("b", [b"x", b""]), Tensor("c", np.zeros((2, 70_000))), head=head)
    assert (frame.kind, frame.call, frame.head) == (FrameKind.REQUEST, 7, head)
    assert [(tensor.name, tensor.datatype) for tensor in frame.tensors] == [
        ("a", "INT64"),
        ("b", "BYTES"),
        ("c", "FP64"),
    ]
    assert frame.tensors[1].data.tolist() == [b"x", b""]


def test_a_head_longer_than_a_frame_arrives():
    head = {"parameters": {"prompt": "x" * 1_000_000}}
    frame = sent(Tensor("a", np.arange(3)), head=head)
    assert (frame.head, frame.tensors[0].data.tolist()) == (head, [0, 1, 2])


def test_values_of_numpy_in_a_head_become_numbers():
    assert sent(head={"a": np.float64(0.5), "b": np.arange(2)}).head == {"a": 0.5, "b": [0, 1]}


def test_subclasses_of_plain_types_arrive_as_what_they_are_made_of():
    class Text(str):
        __slots__ = ()

    head = [ClientDeadline(3.5, 2.0), FrameKind.PING, Text("a"), MappingProxyType({"a": 1}), np.True_]
    assert sent(head=head).head == [3.5, 12, "a", {"a": 1}, True]


def test_a_frame_of_a_newer_kind_arrives_as_its_number():
    one, other = pair()
    one.send(999, head="news")
    assert other.receive(soon()).kind == 999


@pytest.mark.parametrize(
    ("head", "tensor"),
    [
        ({"a": object()}, None),
        ({"a": 2**70}, None),
        ({"a": "\ud800"}, None),
        (None, Tensor.trusted("x", np.zeros(2, np.float32), "INT32")),
        (None, Tensor.trusted("x", np.array([b"a", 3], dtype=object), "BYTES")),
        (None, Tensor.trusted("x", np.array([b"a", None], dtype=object), "BYTES")),
        (None, Tensor.trusted("x", np.zeros(2, np.float32), "FP128")),
    ],
    ids=["object", "too large", "surrogate", "other type", "no bytes", "missing", "datatype"],
)
def test_what_has_no_form_is_refused_and_the_channel_goes_on(head, tensor):
    one, other = pair()
    with pytest.raises(UnsendableFrame):
        one.send(FrameKind.REQUEST, 1, head, [tensor] if tensor else [])
    one.send(FrameKind.REQUEST, 2)
    assert other.receive(soon()).call == 2


def test_memory_is_used_again_when_the_last_array_on_it_is_dropped():
    one, other = pair()
    for value in range(20):
        one.send(FrameKind.REQUEST, 0, None, [Tensor("x", np.full(100_000, value))])
        array = other.receive(soon()).tensors[0].data[5:9].reshape(2, 2)
        assert array.tolist() == [[value, value], [value, value]]
    assert len(one._outgoing._segments) == 2  # one is sent while the array of the one before it is there


def test_memory_that_is_looked_at_is_not_written_again():
    one, other = pair()
    kept = []
    for value in range(10):
        one.send(FrameKind.REQUEST, 0, None, [Tensor("x", np.full(100_000, value))])
        kept.append(other.receive(soon()).tensors[0].data[3:5])
    assert [array.tolist() for array in kept] == [[value, value] for value in range(10)]


def test_a_reader_who_keeps_everything_gets_copies_and_holds_few_descriptors():
    one, other = pair()
    before = descriptors()
    kept = []
    for value in range(300):
        one.send(FrameKind.REQUEST, 0, None, [Tensor("x", np.full(10_000, value))])
        kept.append(other.receive(soon()).tensors[0].data)
    assert descriptors() - before < 120
    assert all((array == value).all() for value, array in enumerate(kept))


def test_descriptors_and_memory_come_back_when_a_channel_ends():
    before = descriptors()
    one, other = pair()
    one.send(FrameKind.REQUEST, 0, None, [Tensor("x", np.zeros(1_000_000))])
    other.send(FrameKind.REQUEST, 0, None, [Tensor("x", np.zeros(1_000_000))])
    frame = other.receive(soon())
    one.close()
    del one, other
    assert frame.tensors[0].data.sum() == 0
    del frame
    assert descriptors() == before


def test_idle_memory_is_given_back_on_both_sides(monkeypatch):
    one, other = pair()
    one.send(FrameKind.REQUEST, 0, None, [Tensor("x", np.zeros(1_000_000))])
    other.receive(soon())
    one.tick()
    assert len(one._outgoing._segments) == len(other._incoming._segments) == 1
    monkeypatch.setattr("srv.channels.segments._IDLE_SECONDS", 0.0)
    one.tick()
    one.send(FrameKind.PING)
    assert other.receive(soon()).kind == FrameKind.PING
    assert len(one._outgoing._segments) == len(other._incoming._segments) == 0
    one.send(FrameKind.REQUEST, 0, None, [Tensor("x", np.ones(1_000_000))])
    assert other.receive(soon()).tensors[0].data.sum() == 1_000_000


def test_memory_of_another_process_cannot_be_written():
    one, other = pair()
    one.send(FrameKind.REQUEST, 0, None, [Tensor("x", np.zeros(100_000))])
    array = other.receive(soon()).tensors[0].data
    with pytest.raises(ValueError, match="WRITEABLE"):
        array.flags.writeable = True


def test_a_child_that_drops_an_array_returns_no_memory_of_its_parent():
    one, other = pair()
    one.send(FrameKind.REQUEST, 0, None, [Tensor("x", np.zeros(100_000))])
    frame = other.receive(soon())
    child = os.fork()
    if not child:
        del frame
        os._exit(0)
    os.waitpid(child, 0)
    one.send(FrameKind.REQUEST, 0, None, [Tensor("x", np.ones(100_000))])
    assert frame.tensors[0].data.sum() == 0


def test_descriptors_travel():
    one, other = pair()
    reading, writing = os.pipe()
    one.send(FrameKind.CONNECT, head={"worker": 1}, tensors=[Tensor("x", np.zeros(100_000))], descriptors=[writing])
    os.close(writing)
    (descriptor,) = other.receive(soon()).descriptors
    os.write(descriptor, b"there")
    os.close(descriptor)
    assert os.read(reading, 10) == b"there"
    assert os.read(reading, 10) == b""
    os.close(reading)


def test_receiving_ends_at_its_deadline():
    _, other = pair()
    assert other.receive(time.monotonic() + 0.01) is None
    assert other.receive(time.monotonic() + 0.3) is None


def test_sending_to_one_who_does_not_read_ends_at_its_deadline():
    one, other = pair()
    tensors = [Tensor("x", np.zeros(1000))]

    def flood():
        while True:
            one.send(FrameKind.REQUEST, 0, None, tensors, until=time.monotonic() + 0.05)

    with pytest.raises(SendTimedOut):
        flood()
    assert other.receive(soon()) is not None
    one.send(FrameKind.REQUEST, 0, None, until=soon())


def test_the_end_of_the_other_process_is_told():
    one, other = pair()
    one.send(FrameKind.PING)
    one.close()
    assert other.receive(soon()).kind == FrameKind.PING
    with pytest.raises(ChannelClosed, match="ended"):
        other.receive()
    with pytest.raises(ChannelClosed, match="ended"):
        other.send(FrameKind.PONG)


def test_closing_wakes_all_threads_that_receive():
    _one, other = pair()
    told = []

    def read():
        try:
            other.receive()
        except ChannelClosed as error:
            told.append(str(error))

    threads = [threading.Thread(target=read) for _ in range(5)]
    for thread in threads:
        thread.start()
    other.close()
    for thread in threads:
        thread.join(SOON)
    assert told == ["The channel is closed: this process has closed it."] * 5


def test_another_version_of_the_protocol_is_refused_with_both_numbers():
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    one.send(struct.pack("<2sH", b"sv", PROTOCOL + 6) + b"whatever a later version has")
    with pytest.raises(OtherProtocol) as refused:
        Channel(other).receive(soon())
    assert (refused.value.theirs, refused.value.ours) == (PROTOCOL + 6, PROTOCOL)
    one.close()


# -- frames that are none ---------------------------------------------------------------------------------------------


def raw(pieces: list[bytes], descriptors: list[int] = []):  # noqa: B006 - it is not changed
    """What a channel makes of these bytes."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    socket.send_fds(one, [b"".join(map(bytes, pieces))], descriptors)
    one.close()
    channel = Channel(other)
    try:
        return channel.receive(soon())
    finally:
        assert channel.closed


@pytest.mark.parametrize("place", [0, 3, 5, 9, 11, 12, 14, 20, 30, 36, 45, -1])
def test_a_frame_with_one_wrong_byte_is_refused(place):
    data = bytearray(
        b"".join(map(bytes, Packed({"a": 1}, [Tensor("x", np.arange(9))]).frame(FrameKind.REQUEST, 1, 0, 0)))
    )
    data[place] ^= 0x41
    with pytest.raises((BrokenFrame, OtherProtocol)):
        raw([data])


@pytest.mark.parametrize("size", [1, 7, 8, 20, 40, 41])
def test_a_frame_that_is_cut_off_is_refused(size):
    data = b"".join(map(bytes, Packed(None, [Tensor("x", np.arange(9))]).frame(FrameKind.REQUEST, 1, 0, 0)))
    with pytest.raises(BrokenFrame):
        raw([data[:size]])


def in_memory(descriptor: int, **changed: int):
    """A frame in a segment, that says something else of it."""
    packed = Packed(None, [Tensor("x", np.zeros(100_000))])
    if "payload" in changed:
        packed.payload = changed.pop("payload")
    flags = os.memfd_create("flags", os.MFD_ALLOW_SEALING)
    os.ftruncate(flags, 4096)
    fcntl(flags, F_ADD_SEALS, 7)
    given = {
        "call": 1,
        "descriptors": 0,
        "flags": FrameFlag.SEGMENT | FrameFlag.NEW,
        "segment": 1,
        "slot": 0,
        **changed,
    }
    try:
        return raw(packed.frame(FrameKind.REQUEST, **given), [flags, descriptor])
    finally:
        os.close(flags)
        os.close(descriptor)


def memory(size: int, seals: int = 7) -> int:
    descriptor = os.memfd_create("memory", os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, size)
    fcntl(descriptor, F_ADD_SEALS, seals)
    return descriptor


def test_memory_that_can_shrink_is_refused():
    with pytest.raises(BrokenFrame, match="not sealed"):
        in_memory(memory(1_000_000, seals=F_SEAL_SHRINK))


def test_a_file_is_no_memory(tmp_path):
    (tmp_path / "file").write_bytes(bytes(1_000_000))
    with pytest.raises(BrokenFrame, match="cannot be mapped"):
        in_memory(os.open(tmp_path / "file", os.O_RDONLY))


def test_a_size_beyond_the_memory_is_refused():
    with pytest.raises(BrokenFrame, match="800000 bytes of memory that has 700000"):
        in_memory(memory(700_000))


def test_a_tensor_beyond_the_payload_is_refused():
    with pytest.raises(BrokenFrame, match="outside of its payload"):
        in_memory(memory(1_000_000), payload=799_999)


def test_a_flag_beyond_the_page_is_refused():
    with pytest.raises(BrokenFrame):
        in_memory(memory(1_000_000), slot=4096)


@pytest.mark.parametrize("flags", [FrameFlag.NEW, FrameFlag.COPIED, FrameFlag.SPILLED, 16, 128, 255])
def test_flags_that_do_not_go_together_are_refused(flags):
    with pytest.raises(BrokenFrame):
        raw(Packed(None, []).frame(FrameKind.REQUEST, 1, 0, int(flags)))


def test_descriptors_of_a_broken_frame_are_closed():
    before = descriptors()
    with pytest.raises(BrokenFrame):
        in_memory(memory(1_000))
    with pytest.raises(BrokenFrame):
        raw([b"x" * 100_000][:1], [0, 1, 2])
    with pytest.raises(BrokenFrame):
        raw([b"nonsense"], [0] * 40)
    assert descriptors() == before
