"""The event loop of a worker, which runs the async methods of all models, and survives what they do to it."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from typing import Any, NoReturn

from srv.cancellation import NOBODY, Caller
from srv.errors import SrvError, Unavailable

log = logging.getLogger(__name__)


class LoopTimeout(Exception):
    """The seconds of EventLoop.run are over."""


class EventLoopEnded(Unavailable):
    """The event loop ended while it ran something, and can be used no more."""

    def __init__(self) -> None:
        super().__init__("The worker's event loop ended before the answer was there. Try again.")


class SharedEventLoop(SrvError):
    """A model wants to stop or close the event loop, which is not its own."""

    def __init__(self) -> None:
        super().__init__("All async models of a worker share this event loop, so that none may stop or close it.")


class RunningLoop:
    """An event loop in a thread of its own, until it is closed or cannot run any more.

    A task or callback that raises SystemExit or KeyboardInterrupt, or that stops the loop, costs nobody else anything.
    `ended` is called where the loop ends without having been closed.
    """

    def __init__(self, ended: Callable[[RunningLoop], object]) -> None:
        self.loop = asyncio.new_event_loop()
        for method in ("stop", "close"):
            with suppress(AttributeError):  # a loop of another library may take no attributes
                setattr(self.loop, method, _refuse)
        self._ended = ended
        self._closing = self._over = False
        self._waiting: set[Future[Any]] = set()
        #: What each task of `run` runs, to say until when it may take.
        self._runs: dict[asyncio.Task[Any], _Run] = {}
        #: When the loop was asked to show that it runs; None where it has shown it.
        self._asked: float | None = None
        self.thread = threading.Thread(target=self._serve, name="srv-event-loop", daemon=True)
        self.thread.start()

    def call(self, function: Callable[..., object], *arguments: Any) -> None:
        """Have a function called in the loop's thread. Raises EventLoopEnded."""
        try:
            self.loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # it is closed
            raise EventLoopEnded from None

    def future(self) -> Future[Any]:
        """Return a future that fails with EventLoopEnded where the loop ends first."""
        future: Future[Any] = Future()
        self._waiting.add(future)
        future.add_done_callback(self._waiting.discard)
        if self._over:  # looked at after the line above, as _fail_all does it the other way round
            _fail(future)
        return future

    def run(self, coroutine: Coroutine[Any, Any, Any], seconds: float | None, caller: Caller) -> Any:
        """Wait for a coroutine. Raises as EventLoop.run."""
        future = self.future()
        run = _Run(self, coroutine, future, None if seconds is None else time.monotonic() + seconds)
        try:
            self.call(run.begin)
        except EventLoopEnded:
            coroutine.close()
            raise
        caller.on_cancel(run.cancel)
        try:
            return future.result(seconds)
        except FutureTimeout:
            if future.done():  # in this moment, or it is the coroutine's own TimeoutError
                return future.result()
            run.cancel()
            raise LoopTimeout from None
        finally:
            caller.on_cancel(None)

    def silence(self, now: float) -> float:
        """Return for how many seconds the loop has not answered, and ask it to; 0 where a task may take that long.

        A task may take as long as whoever waits for it. To be called about once a second.
        """
        if self._asked is None:
            self._asked = now
            with suppress(EventLoopEnded):
                self.call(self._answer)
            return 0.0
        task = asyncio.current_task(self.loop)
        run = self._runs.get(task) if task is not None else None
        if run is not None and (run.until is None or now < run.until):
            return 0.0
        return now - max(self._asked, run.until if run is not None and run.until is not None else 0.0)

    def close(self) -> None:
        """Stop the loop and its thread."""
        self._closing = True
        with suppress(EventLoopEnded):
            self.call(_really(self.loop, "stop"))
        self.thread.join(timeout=5)

    # -- in the loop's thread ------------------------------------------------------------------------------------------

    def enter(self, task: asyncio.Task[Any], run: _Run) -> None:
        """Remember what a task runs, until it is done."""
        self._runs[task] = run
        task.add_done_callback(lambda task: self._runs.pop(task, None))

    def _answer(self) -> None:
        self._asked = None

    def _serve(self) -> None:
        while not self._closing:
            try:
                self.loop.run_forever()
            except (SystemExit, KeyboardInterrupt) as error:
                log.error(  # noqa: TRY400  the traceback is that of the task
                    "A task of an async model raised %s; the event loop goes on.", type(error).__name__, exc_info=error
                )
            except BaseException:  # such as a closed descriptor
                log.exception("The event loop of the async models ended; another one takes its place.")
                break
        self._over = True
        self._fail_all()
        with suppress(BaseException):  # what cannot be closed is left
            _really(self.loop, "close")()
        if not self._closing:
            self._ended(self)

    def _fail_all(self) -> None:
        for future in [*self._waiting]:
            _fail(future)
        if self._closing:
            return
        for task in asyncio.all_tasks(self.loop):  # what they hold is let go now, not by the collector in some thread
            with suppress(BaseException):
                task._log_destroy_pending = False  # type: ignore[attr-defined]  # it is known
                task.get_coro().close()


class EventLoop:
    """The event loop of a worker: it starts with the first coroutine, and another one takes the place of one that ends."""

    def __init__(self) -> None:
        self._running: RunningLoop | None = None
        self._lock = threading.Lock()
        #: Whether this process is a child that a model has forked, and no worker: the thread of the loop is gone.
        self.forked = False

    def run(self, coroutine: Coroutine[Any, Any, Any], seconds: float | None = None, *, caller: Caller = NOBODY) -> Any:
        """Wait for a coroutine, so many seconds at most; then it is cancelled and LoopTimeout is raised.

        It is cancelled too, and concurrent.futures.CancelledError raised, when the caller leaves. Raises EventLoopEnded.
        """
        return self.started().run(coroutine, seconds, caller)

    def started(self) -> RunningLoop:
        """Return the loop, running."""
        running = self._running
        if running is not None:
            return running
        with self._lock:
            if self._running is None:
                self._running = RunningLoop(self._forget)
            return self._running

    def silence(self, now: float) -> float:
        """Return for how many seconds the loop has not answered; 0 where there is none. To be called once a second."""
        running = self._running
        return 0.0 if running is None else running.silence(now)

    @property
    def thread(self) -> threading.Thread | None:
        """The thread that the loop runs in, if there is one."""
        running = self._running
        return None if running is None else running.thread

    def close(self) -> None:
        """Stop the loop and its thread."""
        with self._lock:
            running, self._running = self._running, None
        if running is not None:
            running.close()

    def _forget(self, ended: RunningLoop) -> None:
        with self._lock:
            if self._running is ended:
                self._running = None


class _Run:
    """A coroutine that runs as a task of the loop, and what is told of its end."""

    def __init__(
        self, loop: RunningLoop, coroutine: Coroutine[Any, Any, Any], future: Future[Any], until: float | None
    ) -> None:
        self._loop = loop
        self._coroutine = coroutine
        self._future = future
        #: When nobody waits for it any more, on the monotonic clock.
        self.until = until
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Run the coroutine, in the loop's thread."""
        if self._future.done():
            self._coroutine.close()
            return
        finish = self._finish()
        try:
            self._task = self._loop.loop.create_task(finish)
            self._loop.enter(self._task, self)
        except BaseException as error:  # noqa: BLE001  a model may have given the loop a task factory
            finish.close()
            self._coroutine.close()
            self._end(error=error)

    def cancel(self) -> None:
        """Wait for the coroutine no longer, and cancel it. Called from any thread."""
        if self._future.cancel():
            with suppress(EventLoopEnded):
                self._loop.call(self._cancel)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _finish(self) -> None:
        """Await the coroutine. Nothing that it raises goes on to the loop."""
        try:
            self._end(value=await self._coroutine)
        except BaseException as error:  # noqa: BLE001  not even sys.exit() may end the loop, which all models share
            self._end(error=error)

    def _end(self, *, value: Any = None, error: BaseException | None = None) -> None:
        with suppress(Exception):  # it was cancelled in this moment
            if error is None:
                self._future.set_result(value)
            else:
                self._future.set_exception(error)


def _fail(future: Future[Any]) -> None:
    with suppress(Exception):  # it is done in this moment
        future.set_exception(EventLoopEnded())


def _really(loop: asyncio.AbstractEventLoop, method: str) -> Callable[[], None]:
    """Return a method of the loop's own that models must not call."""
    own: Callable[[], None] = getattr(type(loop), method).__get__(loop)
    return own


def _refuse() -> NoReturn:
    raise SharedEventLoop
