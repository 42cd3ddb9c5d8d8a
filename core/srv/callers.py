"""Whoever waits for an answer, and may leave before it comes."""

from __future__ import annotations

from collections.abc import Callable


class Caller:
    """Somebody who waits for one answer. A face says when they have left; who works for them may hear of it.

    One thread works for a caller at a time; `leave` may be called from any other, more than once, and never waits.
    """

    __slots__ = ("_stop", "left")

    def __init__(self) -> None:
        #: Whether they are gone, as far as the face knows.
        self.left = False
        self._stop: Callable[[], object] | None = None

    def leave(self) -> None:
        """They are gone."""
        self.left = True
        stop = self._stop
        if stop is not None:
            stop()

    def stops(self, stop: Callable[[], object] | None) -> None:
        """Have this called, once or twice, when they leave, or now where they have; None for nothing to stop."""
        self._stop = stop
        if stop is not None and self.left:  # looked at after the line above, as leave() does it the other way round
            stop()

    def blocks(self) -> None:
        """Who works for them is about to wait, or to do what takes long: a face may need the thread's place meanwhile."""

    def resumes(self, rouse: Callable[[], object]) -> None:
        """What their thread waits for has come: this has it go on, and is called now, or when a face has room for it."""
        rouse()


class Nobody(Caller):
    """A caller that never leaves: a warm-up, a batch of several requests."""

    __slots__ = ()

    def stops(self, stop: Callable[[], object] | None) -> None:
        """Nothing will ever be stopped."""


NOBODY = Nobody()
