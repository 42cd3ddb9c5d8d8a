"""Streaming: generation runs in a thread of its own, and its text comes in pieces as it is made."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from srv_huggingface.token_batches import Tokens

Result = TypeVar("Result")
#: What a decoder makes of the first bytes of a letter whose other bytes are still to come.
_HALF = "\N{REPLACEMENT CHARACTER}"


class Pieces:
    """Collects tokens from transformers, which calls `put` and `end`, and gives out text that later tokens cannot change.

    `skip` is how many calls of `put` bring the prompt.
    """

    def __init__(self, tokens: Tokens, *, skip: int) -> None:
        self._tokens = tokens
        self._skip = skip
        self._ids: list[int] = []
        #: The tokens before `_read` have been given out as text; those from `_begin` on are decoded anew with each piece,
        #: because a token's text depends on the one before it.
        self._begin = self._read = 0
        self._made: queue.SimpleQueue[tuple[str, int] | None] = queue.SimpleQueue()

    def put(self, value: Any) -> None:
        """Take the prompt, or a token."""
        if self._skip:
            self._skip -= 1
            return
        self._ids += value.reshape(-1).tolist()
        if text := self._next():
            self._made.put((text, len(self._ids)))

    def end(self) -> None:
        """Note that no token comes any more; transformers calls it."""

    def close(self) -> None:
        """End the iteration."""
        self._made.put(None)

    def rest(self) -> str:
        """Return the text that was held back, once generation has ended."""
        return self._next(is_last=True)

    def __iter__(self) -> Iterator[tuple[str, int]]:
        """Yield pieces of text, and how many tokens there are by then."""
        while (made := self._made.get()) is not None:
            yield made

    def _next(self, *, is_last: bool = False) -> str:
        before, now = self._tokens.decode([self._ids[self._begin : self._read], self._ids[self._begin :]])
        if len(now) <= len(before) or (now.endswith(_HALF) and not is_last):
            return ""
        self._begin, self._read = self._read, len(self._ids)
        return now[len(before) :]


class Background(Generic[Result]):
    """Runs a task in a thread of its own while its pieces are read.

    Leaving it waits for the thread's end; where that is early, `stop` is called first, which must make the task end soon.
    """

    def __init__(self, task: Callable[[], Result], pieces: Pieces, *, stop: Callable[[], object]) -> None:
        self._task = task
        self._pieces = pieces
        self._stop = stop
        self._results: list[Result] = []
        self._error: BaseException | None = None
        # A daemon, because a thread that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="srv-generation", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._stop()
        self._thread.join()

    def result(self) -> Result:
        """Return what the task returned, once the pieces have ended. Raises what it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._results[0]

    def _run(self) -> None:
        try:
            self._results.append(self._task())
        except BaseException as error:  # noqa: BLE001  raised where the pieces are read
            self._error = error
        finally:
            self._pieces.close()
