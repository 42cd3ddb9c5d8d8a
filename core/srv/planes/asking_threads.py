"""The threads that wait for models on behalf of event loops."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from srv.errors import QueueFull
from srv.planes.readiness import Draining


class AskingQueueFull(QueueFull):
    """As many requests of event loops wait for a thread as may."""

    def __init__(self, most: int) -> None:
        super().__init__(f"{most} requests that plugins or models have awaited are not answered yet. Try again later.")


class AskingThreads:
    """Pools of threads, one for each level: a request that is asked within another one waits for a deeper level only.

    So no request waits for a thread that waits for it. The threads start when they are needed.
    """

    def __init__(self, threads: int, max_queue: int) -> None:
        self._threads = threads
        self._max_queue = max_queue
        self._guard = threading.Lock()
        self._pools: dict[int, ThreadPoolExecutor] = {}
        self._unanswered = 0
        self._closed = False

    def submit(self, level: int, call: Callable[..., Any], *given: Any, never_full: bool = False) -> Future[Any]:
        """Have a thread of that level make a call. Raises AskingQueueFull unless `never_full`, and Draining."""
        with self._guard:
            if self._closed:
                raise Draining
            if self._unanswered >= self._threads + self._max_queue and not never_full:
                raise AskingQueueFull(self._unanswered)
            pool = self._pools.get(level)
            if pool is None:
                pool = ThreadPoolExecutor(self._threads, thread_name_prefix=f"srv-asking-{level}")
                self._pools[level] = pool
            future = pool.submit(call, *given)
            self._unanswered += 1
        future.add_done_callback(self._answered)
        return future

    def grow(self, threads: int) -> None:
        """Have at least so many threads at each level from now on."""
        with self._guard:
            if threads <= self._threads:
                return
            self._threads = threads
            pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.shutdown(wait=False)  # which still does what it was given

    def close(self) -> None:
        """Take no more calls, and drop those that wait; the threads end after their present call."""
        with self._guard:
            self._closed = True
            pools = [*self._pools.values()]
        for pool in pools:
            pool.shutdown(wait=False, cancel_futures=True)

    def _answered(self, _: Future[Any]) -> None:
        with self._guard:
            self._unanswered -= 1
