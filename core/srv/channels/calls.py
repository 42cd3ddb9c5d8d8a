"""Calls over a channel: each gets its own answers, and of the threads that wait for them one reads for all."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from srv.channels.channel import Channel
from srv.channels.errors import BrokenFrame
from srv.channels.frames import Frame
from srv.channels.segments import close_all
from srv.tensors import Tensor

log = logging.getLogger(__name__)

#: How many frames may wait for one call. A stream has less credit than that.
_MOST_WAITING = 4096
#: How many frames are read at once when nobody waits for any.
_MOST_DRAINED = 1024


class ChannelCall:
    """One call and the frames that answer it; used by one thread, but for `send`."""

    __slots__ = ("_calls", "_wake", "frames", "leads", "number")

    def __init__(self, calls: Calls, number: int) -> None:
        self._calls = calls
        self._wake = threading.Lock()
        self._wake.acquire()
        self.number = number
        #: Frames that another thread has read for this call.
        self.frames: deque[Frame] = deque()
        #: Whether its thread is to read for all when it wakes.
        self.leads = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._calls.end(self)

    def receive(self, until: float | None = None) -> Frame | None:
        """Return the next frame of this call, or None where none has come until that time on the monotonic clock.

        Raises ChannelClosed when the other process has ended.
        """
        return self._calls.receive(self, until)

    def send(self, kind: int, head: Any = None, tensors: Sequence[Tensor] = (), *, until: float | None = None) -> None:
        """Send a further frame of this call, from any thread."""
        self._calls.channel.send(kind, self.number, head, tensors, until=until)

    def wake(self) -> None:
        """Wake its thread, which sleeps."""
        self._wake.release()

    def sleep(self, until: float | None) -> bool:
        """Wait to be woken; return whether that happened."""
        if until is None:
            return self._wake.acquire()
        return self._wake.acquire(timeout=max(0.0, until - time.monotonic()))

    def take_wake(self) -> None:
        """Take back the waking that came as the sleep had ended."""
        self._wake.acquire(blocking=False)


class Calls:
    """The calls of one channel. Frames of no call, whose number is 0, go to `other`, in whichever thread reads."""

    def __init__(self, channel: Channel, other: Callable[[Frame], object] | None = None) -> None:
        self.channel = channel
        self._other = other
        self._guard = threading.Lock()
        self._calls: dict[int, ChannelCall] = {}
        self._asleep: dict[int, ChannelCall] = {}
        self._number = 0
        self._read = False

    @property
    def in_flight(self) -> int:
        """How many calls there are now."""
        return len(self._calls)

    def open(
        self, kind: int, head: Any = None, tensors: Sequence[Tensor] = (), *, until: float | None = None
    ) -> ChannelCall:
        """Send the first frame of a new call. Raises what Channel.send raises."""
        with self._guard:
            self._number += 1
            call = self._calls[self._number] = ChannelCall(self, self._number)
        try:
            self.channel.send(kind, call.number, head, tensors, until=until)
        except BaseException:
            self.end(call)
            raise
        return call

    def end(self, call: ChannelCall) -> None:
        """Forget a call; what still comes for it is passed over."""
        with self._guard:
            self._calls.pop(call.number, None)
        call.frames.clear()

    def receive(self, call: ChannelCall, until: float | None) -> Frame | None:
        """Return the next frame of a call: read it, or wait for the thread that reads."""
        with self._guard:
            if call.frames:
                return call.frames.popleft()
            leads = not self._read
            if leads:
                self._read = True
            else:
                self._asleep[call.number] = call
        if not leads:
            woken = call.sleep(until)
            with self._guard:
                if not woken and self._asleep.pop(call.number, None) is None:
                    call.take_wake()
                leads, call.leads = call.leads, False
        if call.frames:
            if leads:
                self._pass_on()
            return call.frames.popleft()
        return self._lead(call, until) if leads else None

    def drain(self) -> None:
        """Read what nobody waits for, such as answers that came too late; called about once a second."""
        with self._guard:
            if self._read:
                return
            self._read = True
        try:
            for _ in range(_MOST_DRAINED):
                frame = self.channel.receive(0.0)
                if frame is None:
                    break
                close_all(frame.descriptors)
                self._deliver(frame)
            self.channel.tick()
        finally:
            self._pass_on()

    def _lead(self, call: ChannelCall, until: float | None) -> Frame | None:
        """Read frames, for all calls, until one comes for this call."""
        try:
            while True:
                frame = self.channel.receive(until)
                if frame is None:
                    return None
                if frame.descriptors:  # calls bring none
                    close_all(frame.descriptors)
                if frame.call == call.number:
                    return frame
                self._deliver(frame)
                del frame  # because its arrays hold memory that the sender waits for
                if until is not None and time.monotonic() >= until:  # whatever else there is to read
                    return None
        finally:
            self._pass_on()

    def _deliver(self, frame: Frame) -> None:
        """Give a frame to its call, and wake the thread that sleeps for it. Raises BrokenFrame where too many wait."""
        if not frame.call:
            self._tell(frame)
            return
        with self._guard:
            call = self._calls.get(frame.call)
            if call is not None:
                if len(call.frames) >= _MOST_WAITING:
                    self.channel.close(failure := BrokenFrame("it is one of too many that nobody has asked for"))
                    raise failure
                call.frames.append(frame)
                if self._asleep.pop(frame.call, None) is not None:
                    call.wake()

    def _tell(self, frame: Frame) -> None:
        if self._other is not None:
            try:
                self._other(frame)
            except Exception:
                log.exception("A frame of no call could not be dealt with.")

    def _pass_on(self) -> None:
        """Let another thread read: one that sleeps, or the next one that comes."""
        with self._guard:
            if not self._asleep:
                self._read = False
                return
            _, following = self._asleep.popitem()
            following.leads = True
            following.wake()
