"""Frames: what one process sends to another, as bytes; every number in them is checked before it is used."""

from __future__ import annotations

import enum
import struct
import sys
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from srv.channels.errors import BrokenFrame, OtherProtocol, UnsendableFrame
from srv.errors import SrvError, said_by
from srv.tensors import DTYPES, EMPTY, Tensor
from srv.wire.raw_tensors import read_raw, size_of, write_raw

#: The version of the protocol between srv's processes. Whatever changes the meaning of a frame changes this number.
PROTOCOL = 1
#: The longest frame; what is longer travels in a segment.
MOST_BYTES = 1 << 16
#: Tensors of so many bytes in all travel in the frame itself.
INLINE_BYTES = 1 << 13
_INLINE_ENVELOPE = 1 << 14
_MAGIC = b"sv"
_START = struct.Struct("<2sHI")  # magic, protocol, checksum of the rest: every version begins so
_REST = struct.Struct(
    "<HBBIQIIQ"
)  # kind, flags, descriptors, bytes of the envelope, call, segment, slot, bytes of payload
_PREFIX = _START.size + _REST.size
_ALIGNED = 64
_ALIGNED_INLINE = 16
_NO_VALUE = 2**32 - 1
#: The datatypes of which all bytes are values, where this machine has them in the order in which they travel.
_NUMBERS: Mapping[str, np.dtype[Any]] = (
    {name: dtype for name, dtype in DTYPES.items() if name not in ("BYTES", "BOOL")}
    if sys.byteorder == "little"
    else {}
)
_LENGTH = struct.Struct("<I")


class FrameKind(enum.IntEnum):
    """What a frame is. A number that is not here is of a newer srv, and is passed over."""

    READY = 1
    REQUEST = 2
    RESPONSE = 3
    ERROR = 4
    STREAM = 5
    ITEM = 6
    END = 7
    MORE = 8
    CANCEL = 9
    LOG = 10
    METRIC = 11
    PING = 12
    PONG = 13
    ROUTE = 14
    ROUTE_RESPONSE = 15
    DRAIN = 16
    CONNECT = 17
    STATUS = 18
    #: Segments that their owner uses no more; channels read it themselves.
    FORGET = 65535


_KINDS: Mapping[int, FrameKind] = {int(kind): kind for kind in FrameKind}


class FrameFlag(enum.IntFlag):
    """Where the parts of a frame are."""

    #: The payload is in a segment.
    SEGMENT = 1
    #: The segment is new: its descriptor and that of the page of flags come with the frame.
    NEW = 2
    #: The reader copies the payload.
    COPIED = 4
    #: The envelope is in the segment too, before the payload.
    SPILLED = 8


_SEGMENT, _NEW, _COPIED, _SPILLED = map(int, FrameFlag)


class Frame:
    """One frame as it came. Arrays of its tensors cannot be written; their memory is the sender's again when they are dropped."""

    __slots__ = ("call", "descriptors", "head", "kind", "tensors")

    def __init__(self, kind: int, call: int, head: Any, tensors: list[Tensor], descriptors: list[int]) -> None:
        self.kind = kind
        self.call = call
        self.head = head
        self.tensors = tensors
        #: Open descriptors that came with the frame, which whoever reads it closes.
        self.descriptors = descriptors

    def __repr__(self) -> str:
        kind = self.kind.name if isinstance(self.kind, FrameKind) else self.kind
        return f"Frame({kind}, call {self.call}, {self.head!r:.80}, {self.tensors!r:.80})"


class Start(msgspec.Struct, frozen=True):
    """What the first bytes of a frame say."""

    kind: int
    flags: int
    descriptors: int
    envelope: int
    call: int
    segment: int
    slot: int
    payload: int


class _Placed(msgspec.Struct, array_like=True, frozen=True):
    """A tensor of a frame: what it is, and which bytes of the payload hold it."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    offset: int
    size: int
    parameters: dict[str, Any]
    missing: bool


class _Envelope(msgspec.Struct, array_like=True, frozen=True):
    """All of a frame but the bytes of its tensors."""

    head: Any
    tensors: list[_Placed]


_MSGPACK_TYPES: tuple[type[Any], ...] = (float, int, str, bytes, list, tuple)


def _plain(value: Any) -> Any:
    """Return a value that msgpack has for one that it has not."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    for kind in _MSGPACK_TYPES:  # subclasses, such as a deadline that knows more than its time
        if isinstance(value, kind) and type(value) is not kind:
            return kind(value)
    raise TypeError(f"a value of type {type(value).__name__} has no form in msgpack")


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_plain)
_DECODER = msgspec.msgpack.Decoder(_Envelope)


class Packed:
    """A frame before it is sent: its envelope, and the pieces of its payload with their places."""

    __slots__ = ("envelope", "payload", "pieces")

    def __init__(self, head: Any, tensors: Sequence[Tensor]) -> None:
        self.pieces: list[tuple[int, Any]] = []
        self.payload = 0
        placed = [self._place(tensor) for tensor in tensors]
        try:
            self.envelope = _ENCODER.encode(_Envelope(head, placed))
        except Exception as error:  # whatever a stranger's value raises
            raise UnsendableFrame(said_by(error)) from error

    @property
    def inline(self) -> bool:
        """Whether all of it travels in the frame itself."""
        return self.payload <= INLINE_BYTES and len(self.envelope) <= _INLINE_ENVELOPE

    @property
    def spilled(self) -> bool:
        """Whether the envelope is too long for the frame."""
        return len(self.envelope) > _INLINE_ENVELOPE

    def _place(self, tensor: Tensor) -> _Placed:
        data = _written(tensor)
        offset = self.payload
        size = len(data)
        if size:
            self.pieces.append((offset, data))
        self.payload = offset + -(-size // _ALIGNED) * _ALIGNED
        parameters = dict(tensor.parameters) if tensor.parameters else {}
        return _Placed(tensor.name, tensor.datatype, tensor.data.shape, offset, size, parameters, tensor.missing)

    def write_into(self, memory: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
        """Write the payload, behind the envelope where that is spilled, into a segment."""
        begin = 0
        if self.spilled:
            memory[: len(self.envelope)] = np.frombuffer(self.envelope, np.uint8)
            begin = _aligned(len(self.envelope), _ALIGNED)
        for offset, data in self.pieces:
            memory[begin + offset : begin + offset + len(data)] = np.frombuffer(data, np.uint8)

    @property
    def segment_size(self) -> int:
        """How many bytes it takes in a segment."""
        return self.payload + (_aligned(len(self.envelope), _ALIGNED) if self.spilled else 0)

    def frame(self, kind: int, call: int, descriptors: int, flags: int, segment: int = 0, slot: int = 0) -> list[bytes]:
        """Return the frame as the pieces of one message."""
        envelope = self.envelope
        size = self.segment_size if flags & _SEGMENT else self.payload
        rest = _REST.pack(kind, flags, descriptors, len(envelope), call, segment, slot, size)
        if flags & _SPILLED:
            return [_START.pack(_MAGIC, PROTOCOL, zlib.crc32(envelope, zlib.crc32(rest))), rest]
        parts = [rest, envelope]
        if size and not flags & _SEGMENT:
            parts.append(bytes(-(_PREFIX + len(envelope)) % _ALIGNED_INLINE))
            position = 0
            for offset, data in self.pieces:
                parts += (bytes(offset - position), data)
                position = offset + len(data)
            parts.append(bytes(size - position))
        body = b"".join(parts)
        return [_START.pack(_MAGIC, PROTOCOL, zlib.crc32(body)), body]


def _aligned(size: int, to: int) -> int:
    return -(-size // to) * to


def _written(tensor: Tensor) -> Any:
    """Return the bytes of a tensor. Raises UnsendableFrame where its array is not what its datatype says."""
    dtype = DTYPES.get(tensor.datatype)
    array = tensor.data
    if array.dtype != dtype and not (tensor.datatype == "BF16" and array.dtype.name == "bfloat16"):
        raise UnsendableFrame(f"the array of the tensor '{tensor.name}' is not {tensor.datatype}")
    if tensor.datatype in _NUMBERS and array.nbytes <= INLINE_BYTES:
        return array.tobytes()  # because it is copied into the frame anyway
    try:
        return _with_missing(tensor) if tensor.missing else write_raw(tensor)
    except (SrvError, TypeError, ValueError, struct.error) as error:
        raise UnsendableFrame(f"the tensor '{tensor.name}': {said_by(error)}") from error


def _with_missing(tensor: Tensor) -> bytes:
    """Return BYTES as uint32 length and bytes for each element, with the largest length for None."""
    written = bytearray()
    for value in tensor.data.reshape(-1).tolist():
        written += _LENGTH.pack(_NO_VALUE if value is None else len(value))
        written += value or b""
    return bytes(written)


def read_start(data: bytes) -> Start:
    """Read the first bytes of a frame. Raises OtherProtocol and BrokenFrame; whether the rest is right is not known yet."""
    if len(data) < _START.size:
        raise BrokenFrame(f"it has {len(data)} bytes")
    magic, protocol, _ = _START.unpack_from(data)
    if magic != _MAGIC:
        raise BrokenFrame("it begins with other bytes")
    if protocol != PROTOCOL:
        raise OtherProtocol(protocol, PROTOCOL)
    if len(data) < _PREFIX:
        raise BrokenFrame(f"it has {len(data)} bytes")
    return Start(*_REST.unpack_from(data, _START.size))


def read_frame(
    data: bytes, start: Start, segment: np.ndarray[Any, np.dtype[np.uint8]] | None, descriptors: list[int]
) -> Frame:
    """Return the frame of these bytes, whose payload is in that segment where there is one. Raises BrokenFrame."""
    body = memoryview(data)
    if start.flags & _SPILLED:
        if segment is None or start.envelope > segment.size or len(data) != _PREFIX:
            raise BrokenFrame("its envelope is not where it should be")
        # A copy, because the sender could change it after the check.
        envelope: Any = segment[: start.envelope].tobytes()
        payload: Any = segment[_aligned(start.envelope, _ALIGNED) :]
        checksum = zlib.crc32(envelope, zlib.crc32(body[_START.size :]))
    else:
        end = _PREFIX + start.envelope
        envelope = body[_PREFIX:end]
        if segment is not None:
            payload = segment
            whole = end
        else:
            begin = _aligned(end, _ALIGNED_INLINE) if start.payload else end
            payload = body[begin:]
            whole = begin + start.payload
        if whole != len(data):
            raise BrokenFrame(f"it has {len(data)} bytes and says {whole}")
        checksum = zlib.crc32(body[_START.size :])
    if checksum != _START.unpack_from(data)[2]:
        raise BrokenFrame("its checksum is wrong")
    try:
        read = _DECODER.decode(envelope)
        free = 0  # where the next tensor may begin: bytes that belong to two would be read as often as somebody likes
        tensors = []
        for placed in read.tensors:
            tensors.append(_tensor(placed, payload, free))
            free = placed.offset + placed.size
    except BrokenFrame:
        raise
    except Exception as error:  # hostile bytes: whatever they make a parser raise, they are no frame
        raise BrokenFrame(said_by(error) or type(error).__name__) from error
    return Frame(_KINDS.get(start.kind, start.kind), start.call, read.head, tensors, descriptors)


def _tensor(placed: _Placed, payload: Any, free: int) -> Tensor:
    """Return a tensor on its bytes of the payload. Raises BrokenFrame or InvalidInput for what does not add up."""
    begin, end = placed.offset, placed.offset + placed.size
    if not free <= begin <= end <= len(payload):
        raise BrokenFrame(f"its tensor '{placed.name:.80}' lies outside of its payload, or in another tensor")
    parameters = placed.parameters or EMPTY
    if placed.missing:
        array = _read_missing(memoryview(payload[begin:end]), placed)
        return Tensor.trusted(placed.name, array, placed.datatype, parameters, missing=None in array.flat)
    numbers = _of_numbers(placed, payload)
    if numbers is None:
        numbers = read_raw(memoryview(payload[begin:end]), placed.datatype, placed.shape, placed.name)
    return Tensor.trusted(placed.name, numbers, placed.datatype, parameters)


def _of_numbers(placed: _Placed, payload: Any) -> np.ndarray[Any, Any] | None:
    """Return the array of a tensor of which all bytes are right; None for what has to be looked at in full."""
    dtype = _NUMBERS.get(placed.datatype)
    if dtype is None:
        return None
    size = size_of(placed.shape, dtype.itemsize, placed.name)
    if size * dtype.itemsize != placed.size or not size:
        return None
    array = np.frombuffer(payload, dtype, size, placed.offset)
    if len(placed.shape) != 1:
        array = array.reshape(placed.shape)
    return array if array.flags.aligned else None


def _read_missing(data: memoryview, placed: _Placed) -> np.ndarray[Any, Any]:
    """Return BYTES with None for the elements that have no value."""
    if placed.datatype != "BYTES":
        raise BrokenFrame(f"{placed.datatype} has no missing values")
    filled = bytearray()
    missing: list[int] = []
    number = position = 0
    while position + 4 <= len(data):
        (length,) = _LENGTH.unpack_from(data, position)
        if length == _NO_VALUE:
            missing.append(number)
            length = 0
        filled += _LENGTH.pack(length)
        filled += data[position + 4 : position + 4 + length]
        position += 4 + length
        number += 1
    if position != len(data):
        raise BrokenFrame("its last element is cut off")
    array = read_raw(filled, "BYTES", placed.shape, placed.name)
    array.flags.writeable = True
    array.reshape(-1)[missing] = None
    array.flags.writeable = False
    return array
