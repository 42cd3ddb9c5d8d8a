"""Answers the calls of a channel: each in the thread that has read it, and one thread always waits for the next."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from srv.channels.channel import Channel
from srv.channels.errors import ChannelClosed
from srv.channels.frames import Frame

log = logging.getLogger(__name__)


def answer_calls(channel: Channel, handle: Callable[[Frame], object], *, name: str = "calls") -> None:
    """ChannelCall `handle` for each frame of a channel, in one of several threads, until the channel ends.

    There are as many threads as frames have been handled at once, and one more, so that a frame never waits for another.
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
                    last = not self._waiting
                if last:
                    self.add()
                try:
                    self._handle(frame)
                except Exception:
                    log.exception("A frame could not be dealt with.")
                del frame  # because its arrays hold memory that the sender waits for
                with self._guard:
                    self._waiting += 1
        except ChannelClosed as error:
            if not self.ended.is_set():
                log.debug("%s", error)
        finally:
            self.ended.set()
