"""Cancellation: a request's client, who may disconnect before the answer is there, and what is called then."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Self

from srv.errors import ClientLeft, DeadlinePassed


class Caller:
    """The client of one request. Its face says when the client has disconnected; what runs the request may ask.

    One thread runs a request at a time; `leave` may be called from any other, more than once, and never waits.
    """

    __slots__ = ("_callback", "due", "left", "log_line", "model", "received", "replaced")

    #: The models that ask each other for this request, the outermost first; none for a request of a face.
    models: tuple[str, ...] = ()

    def __init__(self, received: float = 0.0) -> None:
        #: The monotonic time at which the request was complete.
        self.received = received
        #: The monotonic time by which an answer is due: infinite for a stream that has begun, None where nobody has said.
        self.due: float | None = None
        #: The model that was asked, as soon as that is known.
        self.model: str | None = None
        #: Whether the client has disconnected, as far as the face knows.
        self.left = False
        #: Whether the client has an answer already, from somebody who answered in place of the thread that runs the request.
        self.replaced = False
        #: Writes the access log's line of the answer; a face that knows who answers calls it once, when that is this thread.
        self.log_line: Callable[[], object] | None = None
        self._callback: Callable[[], object] | None = None

    def leave(self) -> None:
        """Note that the client has disconnected, and call what was registered for that."""
        self.left = True
        callback = self._callback
        if callback is not None:
            callback()

    def is_gone(self) -> bool:
        """Return whether nobody waits for the answer any more; asked by the thread that runs the request."""
        return self.left

    def is_abandoned(self) -> bool:
        """Return whether the answer comes too late for anybody: the client has left, or has an answer, or its time is over."""
        return self._is_late() or self.left or self.replaced or self.is_gone()

    def raise_if_abandoned(self) -> None:
        """Raise DeadlinePassed or ClientLeft where the request is abandoned."""
        due = self.due
        if due is not None and self._is_late():
            if isinstance(due, ClientDeadline):
                raise DeadlinePassed(due.seconds, of_client=True)
            raise DeadlinePassed(round(due - self.received, 3))
        if self.is_abandoned():
            raise ClientLeft

    def _is_late(self) -> bool:
        return self.due is not None and time.monotonic() > self.due

    def on_cancel(self, callback: Callable[[], object] | None) -> None:
        """Register a callback for when the client disconnects; call it at once if it already has. None unregisters.

        It may be called twice.
        """
        self._callback = callback
        if callback is not None and self.left:  # in this order, because leave() writes and reads in the other one
            callback()

    def until(self, request_timeout: float) -> float | None:  # noqa: ARG002  some faces need it
        """Return when the client stops waiting, where no model has been asked yet; None where nobody can say."""
        return None

    @property
    def callback(self) -> Callable[[], object] | None:
        """The callback that is registered."""
        return self._callback

    def will_block(self) -> None:
        """Note that the thread of the request is about to wait, or to do what takes long: a face may lend its place."""

    def resume(self, wake: Callable[[], object]) -> None:
        """Wake the thread of the request, which has what it waited for: now, or when its face has a place for it."""
        wake()


class ClientDeadline(float):
    """A deadline on the monotonic clock that is the client's own, and not the server's; `seconds` is what it gave."""

    seconds: float

    def __new__(cls, when: float, seconds: float) -> Self:
        """Make a deadline at that time."""
        made = super().__new__(cls, when)
        made.seconds = seconds
        return made


class Nobody(Caller):
    """A caller that never disconnects: a warm-up, a batch of several requests."""

    __slots__ = ()

    def on_cancel(self, callback: Callable[[], object] | None) -> None:
        """Do nothing."""

    def is_abandoned(self) -> bool:
        """Return False, because nobody has left; `due` may be that of any other request."""
        return False

    def raise_if_abandoned(self) -> None:
        """Do nothing."""


NOBODY = Nobody()
