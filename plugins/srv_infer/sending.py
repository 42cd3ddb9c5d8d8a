"""Batches on their way: so many at once, answered in the order of the rows; a batch that fails is asked in halves."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from srv.client import Client, ConnectionLost, Result
from srv.client.attempts import Attempts
from srv.errors import DeadlinePassed, InvalidInput, ModelError, SrvError, TooLarge
from srv_infer.rows import Batch
from srv_infer.sinks import Answers

#: Errors that one row can be the reason of. All others end the run.
_OF_ROWS = (InvalidInput, ModelError, TooLarge, DeadlinePassed)
_ENDLESS = 10**9


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
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answers(self, batches: Iterable[Batch]) -> Iterator[Answers]:
        """Yield the answers of each batch, in order. At most twice as many batches as run at once are in memory."""
        with ThreadPoolExecutor(self.parallel, thread_name_prefix="srv-infer") as threads:
            waiting: deque[Future[Answers]] = deque()
            try:
                for batch in batches:
                    waiting.append(threads.submit(self._answer, batch))
                    if len(waiting) >= 2 * self.parallel:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def _answer(self, batch: Batch) -> Answers:
        answers = Answers(batch.first, batch.rows)
        answers.failed.update(batch.failed)
        numbers = batch.numbers
        if numbers:
            self._ask(numbers, batch.values, answers)
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
            return self.client.infer(
                self.model,
                values,
                version=self.version,
                outputs=self.outputs,
                parameters=self.parameters,
                timeout=min(left, self.timeout),
            )

        try:
            return Attempts(_ENDLESS, lost=True).call(ask, self.patience)
        finally:
            with self._lock:
                self.retried += times - 1


def is_of_server(error: SrvError) -> bool:
    """Whether an error tells that the server was away or full, so that the run may go on later."""
    return isinstance(error, ConnectionLost) or error.code in ("UNAVAILABLE", "QUEUE_FULL")
