"""The channel: one connection between two processes, over which any thread sends and receives frames."""

from __future__ import annotations

import array
import contextlib
import select
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any

from srv.channels.errors import BrokenFrame, ChannelClosed, OtherProtocol, SendTimedOut
from srv.channels.frames import MOST_BYTES, Frame, FrameFlag, FrameKind, Packed, Start, read_frame, read_start
from srv.channels.segments import IncomingSegments, OutgoingSegments, close_all
from srv.errors import said_by
from srv.tensors import Tensor

#: The most descriptors that come with one frame, those of its segment among them.
_MOST_DESCRIPTORS = 16
_ANCILLARY = socket.CMSG_SPACE(4 * _MOST_DESCRIPTORS)
#: A deadline further away than this is looked at so often, and the socket is read without being asked first.
_TICK = 0.25
_TIMEVAL = struct.Struct("ll")
_SEGMENT, _NEW, _COPIED, _SPILLED = map(int, FrameFlag)
# Flags of the socket as plain numbers, because those of an enum take microseconds to put together.
_ANYWAY = int(socket.MSG_NOSIGNAL)
_AT_ONCE = int(socket.MSG_DONTWAIT)
_CLOSED_ON_EXEC = int(socket.MSG_CMSG_CLOEXEC)
_CUT_OFF = int(socket.MSG_TRUNC | socket.MSG_CTRUNC)
_FORGET = int(FrameKind.FORGET)
_KNOWN_FLAGS = _SEGMENT | _NEW | _COPIED | _SPILLED


class _Socket(socket.socket):
    """A socket that is closed with its last user, without a warning: several threads may be reading when a channel ends."""

    def __del__(self) -> None:
        self.close()


class Channel:
    """Frames over a connected Unix socket of the kind SOCK_SEQPACKET, which the channel owns from now on.

    Any number of threads may send and receive; each frame goes to one of them. A frame that is not one ends the channel.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = _Socket(sock.family, sock.type, sock.proto, sock.detach())
        self._socket.settimeout(None)
        self._ticks = False
        self._outgoing = OutgoingSegments()
        self._incoming = IncomingSegments()
        self._failure: ChannelClosed | None = None

    def fileno(self) -> int:
        """Return the descriptor of the socket, to wait for."""
        return self._socket.fileno()

    @property
    def closed(self) -> bool:
        """Whether the channel has been closed at this end, or found closed or broken."""
        return self._failure is not None

    def close(self, failure: ChannelClosed | None = None) -> None:
        """End the channel: every thread that waits for a frame gets ChannelClosed. The descriptor goes with the last of them."""
        if self._failure is None:
            self._failure = _again(failure) if failure else ChannelClosed("this process has closed it")
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def send(
        self,
        kind: int,
        call: int = 0,
        head: Any = None,
        tensors: Sequence[Tensor] = (),
        *,
        until: float | None = None,
        descriptors: Sequence[int] = (),
    ) -> None:
        """Send one frame; wait while the other process does not read, until that time on the monotonic clock.

        Raises UnsendableFrame for what has no form in a frame, SendTimedOut, and ChannelClosed.
        """
        packed = Packed(head, tensors)
        given = len(descriptors)
        if packed.inline:
            self._write(packed.frame(kind, call, given, 0), descriptors, until)
            return
        segment, copied = self._outgoing.take(packed.segment_size)
        sent = False
        try:
            packed.write_into(segment.array)
            flags = _SEGMENT | (_COPIED if copied else 0) | (_SPILLED if packed.spilled else 0)
            own: tuple[int, ...] = ()
            if not segment.delivered:
                flags |= _NEW
                own = (self._outgoing.flags_descriptor, segment.descriptor)
            self._write(
                packed.frame(kind, call, given, flags, segment.number, segment.slot), (*own, *descriptors), until
            )
            sent = True
        finally:
            self._outgoing.settle(segment, sent=sent)

    def receive(self, until: float | None = None) -> Frame | None:
        """Return the next frame, or None where none has come until that time on the monotonic clock.

        Raises ChannelClosed when the other process has ended, and BrokenFrame or OtherProtocol for what is no frame.
        """
        while True:
            message = self._read(until)
            if message is None:
                return None
            data, descriptors = message
            try:
                frame = self._understood(data, descriptors)
            except (
                Exception
            ) as error:  # whatever hostile bytes lead to: this frame is lost, so its call would wait for ever
                close_all(descriptors)
                told = (
                    error if isinstance(error, ChannelClosed) else BrokenFrame(said_by(error) or type(error).__name__)
                )
                self.close(told)
                if told is error:
                    raise
                raise told from error
            if frame.kind != _FORGET:
                return frame
            self._incoming.forget(frame.head)

    def tick(self) -> None:
        """Let go of shared memory that has not been used for some time; called about once a second."""
        dropped = self._outgoing.drop_idle()
        if dropped:
            self.send(FrameKind.FORGET, head=dropped, until=time.monotonic() + _TICK)

    def _understood(self, data: bytes, descriptors: list[int]) -> Frame:
        """Return the frame of a message; what it brings besides is put where it belongs. Raises BrokenFrame."""
        start = read_start(data)
        flags = start.flags
        owned = 2 if flags & _NEW else 0
        if flags & ~_KNOWN_FLAGS or (flags and not flags & _SEGMENT) or len(descriptors) != start.descriptors + owned:
            raise BrokenFrame(f"it has the flags {flags} and {len(descriptors)} descriptors")
        if not flags:
            frame = read_frame(data, start, None, descriptors)
        else:
            frame = self._from_segment(data, start, descriptors)
        if frame.kind == _FORGET and not _is_list_of_numbers(frame.head):
            raise BrokenFrame("what it forgets are no numbers")
        return frame

    def _from_segment(self, data: bytes, start: Start, descriptors: list[int]) -> Frame:
        if start.flags & _NEW:
            own, descriptors[:] = descriptors[:2], descriptors[2:]
            try:
                self._incoming.add(start.segment, start.slot, *own)
            finally:
                close_all(own)
        copied = bool(start.flags & _COPIED)
        return read_frame(
            data, start, self._incoming.lent(start.segment, start.slot, start.payload, copied=copied), descriptors
        )

    def _read(self, until: float | None) -> tuple[bytes, list[int]] | None:
        """Return the next message and the descriptors that came with it; None where `until` has passed."""
        while True:
            flags = _CLOSED_ON_EXEC
            if until is not None:
                left = until - time.monotonic()
                if not self._ticks:
                    self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEVAL.pack(0, int(_TICK * 1e6)))
                    self._ticks = True
                if left < _TICK:
                    if not self._ready(select.POLLIN, left):
                        return None
                    flags |= _AT_ONCE
            try:
                data, ancillary, told, _ = self._socket.recvmsg(MOST_BYTES, _ANCILLARY, flags)
            except BlockingIOError:  # the socket's own timeout, or another thread was faster
                continue
            except OSError as error:
                raise self._ended() from error
            descriptors = [number for _, _, data in ancillary for number in _numbers(data)]
            if not data:
                close_all(descriptors)
                raise self._ended()
            if told & _CUT_OFF:
                close_all(descriptors)
                self.close(BrokenFrame("it is longer than a frame, or brings too many descriptors"))
                raise self._ended()
            return data, descriptors

    def _write(self, pieces: Sequence[Any], descriptors: Sequence[int], until: float | None) -> None:
        ancillary = (
            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors).tobytes())] if descriptors else []
        )
        flags = _ANYWAY if until is None else _ANYWAY | _AT_ONCE
        while True:
            try:
                self._socket.sendmsg(pieces, ancillary, flags)
            except BlockingIOError:
                assert until is not None
                if not self._ready(select.POLLOUT, until - time.monotonic()):
                    raise SendTimedOut from None
            except OSError as error:
                raise self._ended() from error
            else:
                return

    def _ready(self, event: int, seconds: float) -> bool:
        """Wait until the socket can be read or written, or has ended; return whether it is so."""
        poll = select.poll()
        poll.register(self._socket, event)
        return bool(poll.poll(max(0.0, seconds) * 1000))

    def _ended(self) -> ChannelClosed:
        """Return why the channel is closed, and see to it that it is."""
        self.close(ChannelClosed())
        assert self._failure is not None
        return _again(self._failure)


def _again(failure: ChannelClosed) -> ChannelClosed:
    """Return the same error without a traceback, because each thread raises one of its own."""
    if isinstance(failure, OtherProtocol):
        return OtherProtocol(failure.theirs, failure.ours)
    made = type(failure).__new__(type(failure))
    made.args = failure.args
    return made


def pair() -> tuple[Channel, Channel]:
    """Return two connected channels."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Channel(one), Channel(other)


def _numbers(data: bytes) -> list[int]:
    return list(array.array("i", data[: len(data) - len(data) % 4]))


def _is_list_of_numbers(head: Any) -> bool:
    return isinstance(head, list) and all(type(number) is int for number in head)
