"""Where calls run: threads with a bounded queue, a thread for each stream that stands, or at once.

grpcio lets a handler name its pool by the attribute `experimental_thread_pool`, which must be a ThreadPoolExecutor, and
gives a pool functions to run, some of whose arguments are its own. srv rests on no other private names of grpcio than
these and those in `arriving.py`, and `tests/grpc/test_pools.py` holds grpcio to them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

from srv.grpc.arriving import receive

log = logging.getLogger(__name__)

_BROKEN_OFF = "A gRPC call broke off."
_local = threading.local()


def received() -> float:
    """When the call that this thread runs came in, on the monotonic clock."""
    moment: float = getattr(_local, "received", None) or time.monotonic()
    return moment


def placed(behaviour: Callable[..., Any], pool: ThreadPoolExecutor) -> Callable[..., Any]:
    """The same behaviour, to be run by that pool."""
    behaviour.experimental_thread_pool = pool  # type: ignore[attr-defined]  # grpcio looks for it by name
    return behaviour


def pool_of(behaviour: Callable[..., Any]) -> ThreadPoolExecutor | None:
    """The pool that a behaviour was placed in."""
    return getattr(behaviour, "experimental_thread_pool", None)


class _Task:
    """A call that waits for a thread, or has one."""

    __slots__ = ("arguments", "function", "received", "waits")

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.function = function
        self.arguments = arguments
        self.received = time.monotonic()
        self.waits = False


class Pool(ThreadPoolExecutor):
    """So many threads, and so many calls that may wait for one. A call whose client leaves gives its place up.

    A call has a thread kept for it from the moment at which its message is asked for, and wakes it when that is there.
    grpcio submits from one thread; whoever asks `full()` there knows what `submit` will find.
    """

    def __init__(self, name: str, threads: int, max_queue: int) -> None:
        super().__init__(max_workers=threads)  # for grpcio to take it as a pool; none of its threads ever starts
        self._name = name
        self._most = max_queue
        self._lock = threading.Lock()
        self._queue: deque[_Task] = deque()
        self._ready: SimpleQueue[_Task | None] = SimpleQueue()
        #: How many calls run or wait.
        self.held = 0
        self._free = self._size = 0
        self.grow(threads)

    @property
    def max_queue(self) -> int:
        """How many calls may wait."""
        return self._most

    def full(self) -> bool:
        """Whether all threads are busy and as many calls wait as may."""
        return self.held >= self._size + self._most

    def waiting(self) -> int:
        """How many calls wait for a thread."""
        return max(0, self.held - self._size)

    def grow(self, threads: int) -> None:
        """Have at least so many threads."""
        for number in range(self._size, threads):
            threading.Thread(target=self._work, name=f"{self._name}-{number}", daemon=True).start()
            self._size += 1
            self._free_one()

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **_: Any) -> Any:  # noqa: D102
        task = _Task(function, arguments)
        _when_over(arguments, lambda: self._drop(task))
        with self._lock:
            self.held += 1
            begins = self._free > 0
            if begins:
                self._free -= 1
            else:
                task.waits = True
                self._queue.append(task)
        if begins:
            self._begin(task)
        # No future: grpcio counts calls by it for a limit of its own, which is not set.

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002
        """Let the threads end as soon as they have nothing to do; nobody waits for one that hangs."""
        for _ in range(self._size):
            self._ready.put(None)

    def _drop(self, task: _Task) -> None:
        """The call is over; where it still waits, it waits no longer."""
        with self._lock:
            if task.waits:
                task.waits = False
                self._queue.remove(task)
                self.held -= 1

    def _begin(self, task: _Task) -> None:
        """Have a call run by the thread that is kept for it, once its message is there."""
        try:
            asked = receive(task.arguments, lambda arguments: self._arrived(task, arguments))
        except Exception:
            log.exception(_BROKEN_OFF)
            self._end()
        else:
            if not asked:
                self._ready.put(task)

    def _arrived(self, task: _Task, arguments: tuple[Any, ...] | None) -> None:
        if arguments is None:
            self._end()
        else:
            task.arguments = arguments
            self._ready.put(task)

    def _end(self) -> None:
        """A call has been run, or there is nothing to run."""
        with self._lock:
            self.held -= 1
        self._free_one()

    def _free_one(self) -> None:
        """Keep a thread that is free for the call that has waited longest."""
        with self._lock:
            if not self._queue:
                self._free += 1
                return
            task = self._queue.popleft()
            task.waits = False
        self._begin(task)

    def _work(self) -> None:
        while (task := self._ready.get()) is not None:
            _local.received = task.received
            _run(task.function, task.arguments)
            task = None  # because a thread at rest must not hold on to a request
            self._end()


class Standing(ThreadPoolExecutor):
    """A thread for each call, and so many calls at most: for streams that stand and do next to nothing."""

    def __init__(self, name: str, most: int) -> None:
        super().__init__(max_workers=1)  # as in Pool
        self._name = name
        self.most = most
        self._lock = threading.Lock()
        self.held = 0

    def full(self) -> bool:
        """Whether as many calls stand as may."""
        return self.held >= self.most

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **_: Any) -> Any:  # noqa: D102
        with self._lock:
            self.held += 1
        threading.Thread(target=self._work, args=(function, arguments), name=self._name, daemon=True).start()

    def _work(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        try:
            _run(function, arguments)
        finally:
            with self._lock:
                self.held -= 1


class AtOnce(ThreadPoolExecutor):
    """Runs a call where it comes in, in grpcio's own thread: for behaviours that neither read nor wait."""

    def __init__(self) -> None:
        super().__init__(max_workers=1)  # as in Pool

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **_: Any) -> Any:  # noqa: D102
        _run(function, arguments)


def _run(function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        function(*arguments)
    except BaseException:
        log.exception(_BROKEN_OFF)


def _when_over(arguments: tuple[Any, ...], tell: Callable[[], None]) -> None:
    """Have `tell` called when the call ends, be it that its client leaves or that its deadline passes.

    The state of the call is among the arguments of what is submitted; it calls these back in grpcio's own thread, in
    which it submits too. Where it is not found, a call that is over keeps its place until a thread comes to it.
    """
    for argument in arguments:
        callbacks = getattr(argument, "callbacks", None)
        if isinstance(callbacks, list):
            callbacks.append(tell)
            return
