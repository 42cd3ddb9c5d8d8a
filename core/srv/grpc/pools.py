"""Pools that run calls: threads with a bounded queue, a thread for each open stream, or grpcio's own thread."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

import grpc

from srv.busy_threads import BusyThreads
from srv.cancellation import Caller
from srv.grpc.errors import INTERNAL_SENTENCE, STOPPED
from srv.grpc.grpcio_internals import Arguments, end_call, peer_port, receive, when_over

log = logging.getLogger(__name__)

_BROKEN_OFF = "A gRPC call broke off."
_NO_THREAD = "The server has no thread for this call. Try again later."
_local = threading.local()


def received() -> float:
    """Return when the call that this thread runs came in, on the monotonic clock."""
    moment: float = getattr(_local, "received", None) or time.monotonic()
    return moment


def enter(call: Caller) -> None:
    """Tell the pool whose thread this is which call the thread runs."""
    busy: BusyThreads | None = getattr(_local, "busy", None)
    if busy is not None:
        busy.begin(call)


class _Task:
    """A call that waits for a thread, or has one."""

    __slots__ = ("arguments", "function", "received", "waits")

    def __init__(self, function: Callable[..., Any], arguments: Arguments) -> None:
        self.function = function
        self.arguments = arguments
        self.received = time.monotonic()
        self.waits = False


class Pool(ThreadPoolExecutor):
    """Threads for calls, and a bounded queue of calls that wait for one. A call whose client leaves leaves the queue.

    A call has a thread kept for it from the moment at which its message is asked for, and wakes the thread when the
    message is there. grpcio submits from one thread; whoever asks `full()` there knows what `submit` will find.
    """

    def __init__(self, name: str, threads: int, max_queue: int) -> None:
        super().__init__(max_workers=threads)  # for grpcio to take it as a pool; none of its threads ever starts
        self._name = name
        self._most = max_queue
        self._lock = threading.Lock()
        self._queue: deque[_Task] = deque()
        self._ready: SimpleQueue[_Task | None] = SimpleQueue()
        #: The calls that run or wait.
        self._tasks: set[_Task] = set()
        #: What the threads run.
        self.busy = BusyThreads()
        self._free = self._size = 0
        self.grow(threads)

    @property
    def max_queue(self) -> int:
        """How many calls may wait."""
        return self._most

    @property
    def threads(self) -> int:
        """How many calls may run at once."""
        return self._size

    @property
    def count(self) -> int:
        """How many calls run or wait."""
        return len(self._tasks)

    def full(self) -> bool:
        """Return whether all threads are busy and as many calls wait as may."""
        return len(self._tasks) >= self._size + self._most

    def waiting(self) -> int:
        """Return how many calls wait for a thread."""
        return max(0, len(self._tasks) - self._size)

    def grow(self, threads: int) -> None:
        """Have at least so many threads."""
        for number in range(self._size, threads):
            threading.Thread(target=self._work, name=f"{self._name}-{number}", daemon=True).start()
            self._size += 1
            self._free_one()

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **_: Any) -> Any:  # noqa: D102
        task = _Task(function, arguments)
        when_over(arguments, lambda: self._drop(task))
        with self._lock:
            self._tasks.add(task)
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

    def end_calls(self) -> None:
        """End all calls with UNAVAILABLE because the server stops; the thread of one that runs is not interrupted."""
        with self._lock:
            tasks = [*self._tasks]
        for task in tasks:
            end_call(task.arguments, grpc.StatusCode.UNAVAILABLE, STOPPED)

    def peers(self) -> set[int | None]:
        """Return the ports of the clients whose calls run or wait."""
        with self._lock:
            tasks = [*self._tasks]
        return {peer_port(task.arguments) for task in tasks}

    def _drop(self, task: _Task) -> None:
        """Take a call that is over out of the queue, if it waits there."""
        with self._lock:
            if task.waits:
                task.waits = False
                self._queue.remove(task)
                self._tasks.discard(task)

    def _begin(self, task: _Task) -> None:
        """Run a call in the thread that is kept for it, once its message is there."""
        try:
            asked = receive(task.arguments, lambda arguments: self._arrived(task, arguments))
        except BaseException as error:  # noqa: BLE001  this may be the thread in which grpcio takes calls in
            _break_off(task.arguments, error)
            self._end(task)
        else:
            if not asked:
                self._ready.put(task)

    def _arrived(self, task: _Task, arguments: Arguments | None) -> None:
        if arguments is None:
            self._end(task)
        else:
            task.arguments = arguments
            self._ready.put(task)

    def _end(self, task: _Task) -> None:
        """Note that a call has run, or that there is nothing to run; once for each call."""
        with self._lock:
            if task not in self._tasks:
                return
            self._tasks.discard(task)
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
        """Run calls until the pool ends, whatever comes out of them, and whatever is raised into this thread."""
        task: _Task | None = None
        _local.busy = self.busy
        while True:
            try:
                if task is not None:
                    self.busy.end()
                    self._end(task)
                task = None  # because a thread at rest must not hold on to a request
                task = self._ready.get()
                if task is None:
                    return
                _local.received = task.received
                _run(task.function, task.arguments)
            except BaseException:
                log.exception(_BROKEN_OFF)


class StreamPool(ThreadPoolExecutor):
    """A thread for each call, up to a number of calls: for streams that stay open and do next to nothing."""

    def __init__(self, name: str, most: int) -> None:
        super().__init__(max_workers=1)  # as in Pool
        self._name = name
        self.most = most
        self._lock = threading.Lock()
        self._calls: dict[int, Arguments] = {}

    @property
    def count(self) -> int:
        """How many calls are open."""
        return len(self._calls)

    def full(self) -> bool:
        """Return whether as many calls are open as may be."""
        return len(self._calls) >= self.most

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **_: Any) -> Any:  # noqa: D102
        with self._lock:
            self._calls[id(arguments)] = arguments
        try:
            threading.Thread(target=self._work, args=(function, arguments), name=self._name, daemon=True).start()
        except BaseException:
            log.exception("A gRPC stream has no thread.")
            end_call(arguments, grpc.StatusCode.UNAVAILABLE, _NO_THREAD)
            self._end(arguments)

    def end_calls(self) -> None:
        """End all calls with UNAVAILABLE because the server stops."""
        with self._lock:
            calls = [*self._calls.values()]
        for arguments in calls:
            end_call(arguments, grpc.StatusCode.UNAVAILABLE, STOPPED)

    def peers(self) -> set[int | None]:
        """Return the ports of the clients whose calls are open."""
        with self._lock:
            calls = [*self._calls.values()]
        return {peer_port(arguments) for arguments in calls}

    def _work(self, function: Callable[..., Any], arguments: Arguments) -> None:
        try:
            _run(function, arguments)
        finally:
            self._end(arguments)

    def _end(self, arguments: Arguments) -> None:
        with self._lock:
            self._calls.pop(id(arguments), None)


class InlinePool(ThreadPoolExecutor):
    """A pool that runs a call in grpcio's own thread, where it comes in: for behaviours that neither read nor wait."""

    def __init__(self) -> None:
        super().__init__(max_workers=1)  # as in Pool

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **_: Any) -> Any:  # noqa: D102
        _run(function, arguments)


def _run(function: Callable[..., Any], arguments: Arguments) -> None:
    """Run a call. What comes out of it is logged, and the client hears that something went wrong."""
    try:
        function(*arguments)
    except BaseException as error:  # noqa: BLE001  the thread has other calls to run
        _break_off(arguments, error)


def _break_off(arguments: Arguments, error: BaseException) -> None:
    log.error(_BROKEN_OFF, exc_info=error)
    end_call(arguments, grpc.StatusCode.INTERNAL, INTERNAL_SENTENCE)
