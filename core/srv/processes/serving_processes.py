"""Serving processes: those of a model as one worker has them, with a channel to each."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from srv.channels.calls import Calls, ChannelCall
from srv.channels.channel import Channel
from srv.channels.errors import ChannelClosed
from srv.channels.frames import Frame, FrameKind
from srv.errors import SrvError
from srv.processes.errors import ProcessDied
from srv.tensors import Tensor

log = logging.getLogger(__name__)

#: Seconds in which the supervisor tells how a process has ended whose channel is closed.
TO_LEARN = 3.0


class ServingProcess:
    """One process of a model. Safe in several threads.

    `complain` asks the supervisor to end the process, with the reason as it goes on after 'because'.
    """

    def __init__(
        self, title: str, number: int, pid: int, channel: Channel, complain: Callable[[ServingProcess, str], None]
    ) -> None:
        self._title = title
        self.number = number
        self.pid = pid
        #: Whether it has not answered the supervisor for a while, so that others are asked first.
        self.is_silent = False
        self.channel = channel
        self._calls = Calls(channel)
        self._complain = complain
        self._guard = threading.Lock()
        #: Calls that nobody waits for any more and that the process has not acknowledged, with when they were due.
        self._late: list[tuple[ChannelCall, float]] = []
        self._ended = threading.Event()
        self._how = "has closed its connection"

    @property
    def in_flight(self) -> int:
        """How many calls it has now."""
        return self._calls.in_flight

    def open(self, kind: int, head: Any, tensors: Sequence[Tensor], until: float | None) -> ChannelCall:
        """Begin a call. Raises ChannelClosed where the process has got nothing of it, and what cannot be sent."""
        return self._calls.open(kind, head, tensors, until=until)

    def receive(self, call: ChannelCall, until: float | None) -> Frame | None:
        """Return the next frame of a call, or None after that time. Raises ProcessDied."""
        try:
            return call.receive(until)
        except ChannelClosed as error:
            raise self.death() from error

    def end(self, call: ChannelCall) -> None:
        """Forget a call that has been answered."""
        self._calls.end(call)

    def cancel(self, call: ChannelCall) -> None:
        """Tell the process that nobody waits for a call any more. From any thread."""
        with suppress(SrvError):
            call.send(FrameKind.CANCEL, until=time.monotonic())

    def abandon(self, call: ChannelCall, due: float | None = None) -> None:
        """Wait for a call no longer, which was due at that time or now; the process must acknowledge that."""
        self.cancel(call)
        with self._guard:
            self._late.append((call, time.monotonic() if due is None else due))

    def tick(self, now: float, stuck_timeout: float) -> None:
        """Read what nobody waits for, and complain of a process that does not react. Called about once a second."""
        try:
            self._calls.drain()
            with self._guard:
                late, self._late = self._late, []
            left = [(call, due) for call, due in late if call.receive(0.0) is None]
        except ChannelClosed:
            return
        for call, _ in late:
            if all(call is not each for each, _ in left):
                self._calls.end(call)
        with self._guard:
            self._late += left
        overdue = [now - due for _, due in left if now - due > stuck_timeout]
        if overdue:
            count = "a request hangs" if len(overdue) == 1 else f"{len(overdue)} requests hang"
            self._complain(
                self,
                f"{count} past the deadline by more than {stuck_timeout:g} s (stuck_timeout), and it does not react",
            )

    def ended(self, how: str) -> None:
        """Note how the process has ended; all its calls fail."""
        self._how = how
        self._ended.set()
        self.channel.close()
        with self._guard:
            self._late.clear()

    @property
    def has_ended(self) -> bool:
        """Whether the supervisor has told how it has ended, or the worker has left it."""
        return self._ended.is_set()

    def leave(self) -> None:
        """Close the channel, because the worker does not use the process any more."""
        self.ended("is not used any more")

    def death(self) -> ProcessDied:
        """Return the error of what the process had when it ended. Waits a moment for the supervisor to tell how it ended."""
        if not self._ended.wait(TO_LEARN):
            self._complain(self, "it has closed its connection to a worker")
        return ProcessDied(self._title, self._how)
