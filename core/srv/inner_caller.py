"""Requests that are made while another one is answered: their caller, and the request that code runs for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar

from srv.cancellation import Caller

#: The caller of the request that code runs for, set where the code runs in another thread than its request, or for a
#: request that another one made. Elsewhere a face knows which request its thread runs.
CALLER: ContextVar[Caller | None] = ContextVar("srv.caller", default=None)


class InnerCaller(Caller):
    """The caller of an inner request. It is gone when the client of the outer request is.

    `thread` is the caller of the request that a face's thread runs, where the inner request runs in that thread.
    `models` are those that ask each other, the outermost first, and the one that is asked last.
    """

    __slots__ = ("models", "outer", "thread")

    def __init__(
        self, outer: Caller | None = None, *, thread: Caller | None = None, models: tuple[str, ...] = ()
    ) -> None:
        super().__init__(time.monotonic())
        self.outer = outer
        self.thread = thread
        self.models = models

    def listen(self) -> None:
        """Leave when the client of the outer request does, if nothing else listens for that."""
        if self.outer is not None and self.outer.callback is None:
            self.outer.on_cancel(self.leave)

    def stop_listening(self) -> None:
        """Undo `listen`."""
        if self.outer is not None and self.outer.callback == self.leave:
            self.outer.on_cancel(None)

    def is_gone(self) -> bool:
        """Return whether nobody waits for the answer, or for that of the outer request."""
        return self.left or (self.outer is not None and (self.outer.replaced or self.outer.is_gone()))

    def will_block(self) -> None:
        """Tell the face whose thread this is."""
        if self.thread is not None:
            self.thread.will_block()

    def resume(self, wake: Callable[[], object]) -> None:
        """Wake the thread, by way of the face whose thread it is."""
        if self.thread is None:
            wake()
        else:
            self.thread.resume(wake)


class BatchCaller(InnerCaller):
    """The caller of requests that run as one. It is gone when the clients of all of them are."""

    __slots__ = ("members",)

    def __init__(self, members: Sequence[Caller]) -> None:
        super().__init__(models=max((member.models for member in members), key=len))
        self.members = members

    def is_gone(self) -> bool:
        """Return whether nobody waits for any of the answers."""
        return all(member.is_abandoned() for member in self.members)
