"""Segments: shared memory that one process writes and another one reads, sealed, mapped once and used many times."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from srv.channels.errors import BrokenFrame
from srv.errors import OutOfMemory

#: How many segments a process lends at once, which is how many flags the page of flags has.
SLOTS = mmap.PAGESIZE
#: With more segments lent than this, the reader copies what it gets, so that it returns them at once.
_LENT_AS_VIEWS = 48
_SMALLEST = 1 << 16
_LARGEST = 1 << 36
_IDLE_SECONDS = 20.0
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
_SEAL_FUTURE_WRITE = 0x10  # of Linux 5.1: who gets the descriptor cannot write, who has mapped it before can
_Bytes = np.ndarray[Any, np.dtype[np.uint8]]


def _sealed(size: int, seals: int) -> tuple[int, mmap.mmap]:
    """Return the descriptor of new shared memory of that size, and its mapping for the one who writes."""
    descriptor = os.memfd_create("srv-channel", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, size)
        mapping = mmap.mmap(descriptor, size)
        try:
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
        except OSError:
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals & ~_SEAL_FUTURE_WRITE)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, mapping


def _mapped(descriptor: int, prot: int) -> mmap.mmap:
    """Return the mapping of shared memory that another process has made. Raises BrokenFrame where it could shrink."""
    try:
        seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
        size = os.fstat(descriptor).st_size
        if seals & _SEALS != _SEALS:
            raise BrokenFrame("its memory is not sealed")
        if not 0 < size <= _LARGEST:
            raise BrokenFrame(f"its memory has {size} bytes")
        return mmap.mmap(descriptor, size, mmap.MAP_SHARED, prot)
    except (OSError, ValueError, OverflowError) as error:
        raise BrokenFrame(f"its memory cannot be mapped: {error}") from error


class OutgoingSegment:
    """Memory that this process writes; it is lent to the reader with a frame, and free again when its flag is 0."""

    __slots__ = ("array", "delivered", "descriptor", "number", "sending", "slot", "used")

    def __init__(self, number: int, slot: int, size: int) -> None:
        self.number = number
        self.slot = slot
        self.descriptor = -1
        self.descriptor, mapping = _sealed(size, _SEALS | _SEAL_FUTURE_WRITE)
        self.array: _Bytes = np.frombuffer(mapping, np.uint8)
        #: Whether the reader has its descriptor.
        self.delivered = False
        #: Whether a frame is being made of it; the reader may have returned it before that frame's sender goes on.
        self.sending = True
        self.used = 0.0

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Close the descriptor; the memory stays until the last array on it is dropped."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class OutgoingSegments:
    """The segments that a process writes: taken for a frame, free again when the reader has dropped what it saw of them.

    Taking one never waits: where none is free, another one is made.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._segments: list[OutgoingSegment] = []  # the smallest first
        self._slots = list(range(SLOTS - 1, -1, -1))
        self._numbers = 0
        self._flags: mmap.mmap | bytearray = bytearray()  # made when the first segment is
        self.flags_descriptor = -1

    def take(self, size: int) -> tuple[OutgoingSegment, bool]:
        """Return a free segment of at least that size, and whether its reader must copy what is in it.

        Raises OutOfMemory where there is none and none can be made.
        """
        with self._guard:
            try:
                segment, lent = self._free(size)
            except OSError as error:
                raise OutOfMemory from error
            self._flags[segment.slot] = 1
            segment.sending = True
            segment.used = time.monotonic()
            return segment, lent >= _LENT_AS_VIEWS

    def _free(self, size: int) -> tuple[OutgoingSegment, int]:
        """Return a free segment, and how many are lent."""
        if not self._flags:
            self.flags_descriptor, self._flags = _sealed(SLOTS, _SEALS)
        flags = self._flags
        lent = 0
        for segment in self._segments:
            if flags[segment.slot] or segment.sending:
                lent += 1
            elif segment.array.size >= size:
                return segment, lent
        if not self._slots:
            raise OutOfMemory
        segment = OutgoingSegment(self._numbers + 1, self._slots[-1], _rounded(size))
        self._numbers += 1
        self._slots.pop()
        self._segments.append(segment)
        self._segments.sort(key=lambda each: each.array.size)
        return segment, lent

    def settle(self, segment: OutgoingSegment, *, sent: bool) -> None:
        """Note that the frame of a segment was sent, and that the reader has its descriptor; or that it was not."""
        with self._guard:
            if sent:
                segment.delivered = True
                segment.close()
            else:
                self._flags[segment.slot] = 0
            segment.sending = False

    def drop_idle(self) -> list[int]:
        """Let go of the segments that have not been used for some time; return the numbers of those that the reader has."""
        now = time.monotonic()
        with self._guard:
            kept: list[OutgoingSegment] = []
            dropped: list[OutgoingSegment] = []
            for segment in self._segments:
                if self._flags[segment.slot] or segment.sending:
                    segment.used = now
                idle = now - segment.used > _IDLE_SECONDS
                (dropped if idle else kept).append(segment)
            self._segments = kept
            for segment in dropped:
                segment.close()
                self._slots.append(segment.slot)
        return [segment.number for segment in dropped if segment.delivered]

    def __del__(self) -> None:
        if self.flags_descriptor >= 0:
            os.close(self.flags_descriptor)


def _rounded(size: int) -> int:
    """Return the size of a segment for so many bytes: at most an eighth more, in whole pages."""
    step = max(_SMALLEST, 1 << max(0, size.bit_length() - 4))
    return -(-size // step) * step


class Loan:
    """What a frame lends of a segment, as an array of bytes that cannot be written; when it is dropped, the segment is free."""

    __slots__ = ("__array_interface__", "_flags", "_getpid", "_mapping", "_process", "_slot")

    def __init__(self, mapping: _Bytes, flags: mmap.mmap, slot: int, size: int) -> None:
        self._mapping = mapping
        self._flags = flags
        self._slot = slot
        self._getpid: Callable[[], int] = os.getpid
        self._process = os.getpid()
        self.__array_interface__ = {
            "data": (mapping.__array_interface__["data"][0], True),
            "shape": (size,),
            "typestr": "|u1",
            "version": 3,
        }

    def __del__(self) -> None:
        if self._getpid() == self._process:  # and not a child that the model has forked, whose parent still reads
            self._flags[self._slot] = 0


class IncomingSegments:
    """The segments of the other process, as far as it has handed them over."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._segments: dict[int, tuple[_Bytes, int]] = {}
        self._flags: mmap.mmap | None = None

    def add(self, number: int, slot: int, flags: int, descriptor: int) -> None:
        """Map a new segment, and the page of flags where it is the first one. Raises BrokenFrame."""
        with self._guard:
            if len(self._segments) >= SLOTS or slot >= SLOTS or number in self._segments:
                raise BrokenFrame(f"it brings the memory {number} at {slot}, which is there or too much")
            if self._flags is None:
                mapping = _mapped(flags, mmap.PROT_READ | mmap.PROT_WRITE)
                if len(mapping) != SLOTS:
                    raise BrokenFrame("its page of flags has another size")
                self._flags = mapping
            memory = np.frombuffer(_mapped(descriptor, mmap.PROT_READ), np.uint8)
            self._segments[number] = (memory, slot)

    def lent(self, number: int, slot: int, size: int, *, copied: bool) -> _Bytes:
        """Return the first bytes of a segment: a copy of them, or a view. Raises BrokenFrame."""
        with self._guard:
            segment = self._segments.get(number)
            flags = self._flags
        if segment is None or flags is None or segment[1] != slot:
            raise BrokenFrame(f"it names the memory {number}, which was never handed over")
        memory = segment[0]
        if size > memory.size:
            raise BrokenFrame(f"it says {size} bytes of memory that has {memory.size}")
        loan = Loan(memory, flags, slot, size)
        array: _Bytes = np.asarray(loan)
        if copied:
            array = array.copy()
            array.flags.writeable = False
        return array

    def forget(self, numbers: list[int]) -> None:
        """Let go of segments that the other process uses no more."""
        with self._guard:
            for number in numbers:
                self._segments.pop(number, None)


def close_all(descriptors: list[int]) -> None:
    """Close descriptors that came with a frame."""
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)
