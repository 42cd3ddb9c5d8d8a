"""Batches on their way: so many at once, answered in the order of the rows; a batch that fails is asked in halves."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from srv.client import Client, ConnectionLost, Result
from srv.client.abandoning import CALL, Abandonable
from srv.client.attempts import Attempts
from srv.errors import DeadlinePassed, InvalidInput, ModelError, SrvError, TooLarge
from srv_infer.answers import Answers
from srv_infer.rows import Batch

#: Errors that one row can be the reason of. All others end the run.
_OF_ROWS = (InvalidInput, ModelError, TooLarge, DeadlinePassed)
_ENDLESS = 10**9
#: How long one waits for an answer before it is told that one waits.
_TELL_SECONDS = 0.2


@dataclass
class Sender:
    """Asks the model for batches. `patience` is how many seconds a server may be away or full before the run is stopped."""

    client: Client
    model: str
    version: str | None = None
    outputs: Sequence[str] | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    parallel: int = 4
    timeout: float = 60.0
    patience: float = 300.0
    #: How many requests were sent again.
    retried: int = 0
    #: Why requests wait to be sent again, while they do.
    trouble: str | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _abandoned: threading.Event = field(default_factory=threading.Event)
    _calls: set[Abandonable] = field(default_factory=set)

    def answers(self, batches: Iterable[Batch], waiting: Callable[[], None]) -> Generator[Answers]:
        """Yield the answers of each batch, in order. At most twice as many batches as run at once are in memory.

        `waiting` is called again and again while the next answer is not there.
        """
        threads = ThreadPoolExecutor(self.parallel, thread_name_prefix="srv-infer")
        asked: deque[Future[Answers]] = deque()
        try:
            for batch in batches:
                asked.append(threads.submit(self._answer, batch))
                if len(asked) >= 2 * self.parallel:
                    yield _result(asked.popleft(), waiting)
            while asked:
                yield _result(asked.popleft(), waiting)
        finally:
            # Where the run ends before its end, nobody waits for what is on its way.
            self._abandon()
            threads.shutdown(wait=False, cancel_futures=True)

    def _abandon(self) -> None:
        self._abandoned.set()
        with self._lock:
            calls = [*self._calls]
        for call in calls:
            call.abandon()

    def _answer(self, batch: Batch) -> Answers:
        answers = Answers(batch.first, batch.rows)
        answers.failed.update(batch.failed)
        for numbers, values in batch.parts():
            self._ask(numbers, values, answers)
        return answers

    def _ask(self, numbers: Sequence[int], values: Mapping[str, Any], answers: Answers) -> None:
        """Ask for rows; where the batch fails ask for its halves, until the rows that are the reason stand alone."""
        try:
            result = self._patiently(values)
        except _OF_ROWS as error:
            if len(numbers) == 1:
                answers.failed[numbers[0]] = str(error)
                return
            half = len(numbers) // 2
            for part in (slice(half), slice(half, None)):
                self._ask(numbers[part], {name: column[part] for name, column in values.items()}, answers)
            return
        answers.add(numbers, result)

    def _patiently(self, values: Mapping[str, Any]) -> Result:
        times = 0

        def ask(left: float) -> Result:
            nonlocal times
            times += 1
            try:
                result = self._once(values, min(left, self.timeout))
            except SrvError as error:
                self.trouble = str(error) if is_of_server(error) else self.trouble
                raise
            self.trouble = None
            return result

        try:
            return Attempts(_ENDLESS, lost=True).call(ask, self.patience, pause=self._abandoned.wait)
        finally:
            with self._lock:
                self.retried += times - 1

    def _once(self, values: Mapping[str, Any], seconds: float) -> Result:
        call = Abandonable()
        with self._lock:
            if self._abandoned.is_set():
                raise Abandoned
            self._calls.add(call)
        token = CALL.set(call)
        try:
            return self.client.infer(
                self.model,
                values,
                version=self.version,
                outputs=self.outputs,
                parameters=self.parameters,
                timeout=seconds,
            )
        finally:
            CALL.reset(token)
            with self._lock:
                self._calls.discard(call)


class Abandoned(SrvError):
    """The run has ended, so nobody waits for this request."""

    def __init__(self) -> None:
        super().__init__("The run has ended.")


def _result(future: Future[Answers], waiting: Callable[[], None]) -> Answers:
    while not wait([future], _TELL_SECONDS).done:
        waiting()
    return future.result()


def is_of_server(error: SrvError) -> bool:
    """Whether an error tells that the server was away or full, so that the run may go on later."""
    return isinstance(error, ConnectionLost) or error.code in ("UNAVAILABLE", "QUEUE_FULL")
