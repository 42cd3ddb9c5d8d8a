"""The other workers of this server, as the run directory knows them, and how they are told of a change."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from srv.errors import DeadlinePassed
from srv.serve.control import ask
from srv.serve.rundir import RunDirectory, Wanted

log = logging.getLogger(__name__)


class OtherWorkers:
    """Every worker of the server but this one. `done` is told of each change that this worker has made."""

    def __init__(
        self, directory: RunDirectory, pid: int, *, load_timeout: float, done: Callable[[str, int], None]
    ) -> None:
        self._directory = directory
        self._pid = pid
        self._patience = load_timeout
        self._done = done

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Keep every other worker from changing the models meanwhile. Raises DeadlinePassed where one does for long."""
        with ExitStack() as stack:
            try:
                stack.enter_context(self._directory.turn(self._patience))
            except TimeoutError:
                raise DeadlinePassed(self._patience) from None
            yield

    def changed(self, models: Sequence[Wanted], order: Mapping[str, Any]) -> Sequence[str]:
        """Write what all are to serve, then have all others follow, at the same time.

        Whoever starts after the writing reads it, and whoever has registered before is told. A worker that is dead or
        dies meanwhile needs no order: the one that takes its place reads the state.
        """
        name = order["name"]
        generation = self._directory.change(name, [version for known, version in models if known == name])
        self._done(name, generation)
        others = [path for path in self._directory.registered() if path.stem != str(self._pid)]
        if not others:
            return ()
        question = {"ask": "follow", "order": dict(order), "generation": generation}
        until = time.monotonic() + self._patience
        with ThreadPoolExecutor(len(others), thread_name_prefix="srv-tell") as pool:
            outcomes = list(pool.map(lambda path: _told(path, question, until), others))
        late = [path.stem for path, outcome in zip(others, outcomes, strict=True) if isinstance(outcome, TimeoutError)]
        if late:
            log.error("Workers %s did not %s model '%s' in time (load_timeout).", ", ".join(late), order["do"], name)
        failures = [
            f"Worker {path.stem}: {outcome.rstrip('.')}."
            for path, outcome in zip(others, outcomes, strict=True)
            if isinstance(outcome, str)
        ]
        if late and not failures:
            raise DeadlinePassed(self._patience)
        return [*failures, *(f"Worker {pid}: it did not answer within {self._patience:g} s." for pid in late)]


def _told(path: Path, question: Mapping[str, Any], until: float) -> str | TimeoutError | None:
    """Why that worker could not follow; None where it has, or is dead."""
    try:
        answer = ask(path, question, timeout=max(0.001, until - time.monotonic()))
    except TimeoutError as error:
        return error
    except (OSError, json.JSONDecodeError):
        return None
    failed = answer.get("failed")
    return None if failed is None else str(failed)
