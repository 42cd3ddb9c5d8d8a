"""Answers the calls of a channel: each in the thread that has read it, and one thread always waits for the next."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from srv.channels.channel import Channel
from srv.channels.errors import ChannelClosed
from srv.channels.frames import Frame

log = logging.getLogger(__name__)

#: So often somebody looks whether more threads have waited since the last look than were needed; those end.
_LOOK_SECONDS = 2.0


def answer_calls(channel: Channel, handle: Callable[[Frame], object], *, name: str = "calls") -> None:
    """ChannelCall `handle` for each frame of a channel, in one of several threads, until the channel ends.

    There are as many threads as frames have been handled at once lately, and one more, so that no frame waits for another.
    """
    readers = _Readers(channel, handle, name)
    readers.add()
    readers.ended.wait()


class _Readers:
    """The threads of one channel."""

    def __init__(self, channel: Channel, handle: Callable[[Frame], object], name: str) -> None:
        self.ended = threading.Event()
        self._channel = channel
        self._handle = handle
        self._name = name
        self._guard = threading.Lock()
        self._waiting = 0
        #: How many have waited at least since the last look, and when that was.
        self._fewest = 0
        #: How many threads are to end.
        self._spare = 0
        self._looked = time.monotonic()

    def add(self) -> None:
        """Start one more thread."""
        with self._guard:
            self._waiting += 1
        try:
            threading.Thread(target=self._run, name=self._name, daemon=True).start()
        except RuntimeError:
            with self._guard:
                self._waiting -= 1
            log.exception("No thread can be started for further requests.")

    def _run(self) -> None:
        try:
            while (frame := self._channel.receive()) is not None:
                with self._guard:
                    self._waiting -= 1
                    waiting = self._waiting
                    self._fewest = min(self._fewest, waiting)
                if not waiting:
                    self.add()
                try:
                    self._handle(frame)
                except BaseException:  # whatever it is, this thread goes on, because others wait for frames to be read
                    log.exception("A frame could not be dealt with.")
                del frame  # because its arrays hold memory that the sender waits for
                if self._is_spare():
                    return
        except ChannelClosed as error:
            log.debug("%s", error)
        self.ended.set()

    def _is_spare(self) -> bool:
        """Count the calling thread among those that wait; return whether it is one too many, and is not counted.

        The kernel wakes those that wait by turns, so each thread more is one more whose memory is in no cache.
        """
        now = time.monotonic()
        with self._guard:
            if now - self._looked > _LOOK_SECONDS:
                self._spare = self._fewest - 1
                self._looked, self._fewest = now, self._waiting
            if self._spare > 0 and self._waiting > 1:
                self._spare -= 1
                return True
            self._waiting += 1
            return False
