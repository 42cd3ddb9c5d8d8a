"""The log of every hook call: who was called, in order, what came back, how long it took. For trace_plugins."""

from __future__ import annotations

import functools
import logging
import reprlib
import time
from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from srv.hooks.reading import Implementation

log = logging.getLogger("srv.plugins.trace")


class Trace:
    """Wraps implementations so that the log tells of their calls; where it is off, leaves them as they are."""

    def __init__(self, on: bool) -> None:  # noqa: FBT001 - made in one place, by name
        self._on = on

    def of(self, implementations: Sequence[Implementation]) -> list[Implementation]:
        """The same implementations, with a log line for each call where tracing is on."""
        if not self._on:
            return list(implementations)
        return [
            replace(each, function=_told(each, f"{place}/{len(implementations)}"))
            for place, each in enumerate(implementations, start=1)
        ]


def _told(implementation: Implementation, place: str) -> Callable[..., Any]:
    who = f"{implementation.plugin.name} of {implementation.plugin.distribution}"

    @functools.wraps(implementation.function)
    def told(*positional: Any, **named: Any) -> Any:
        started = time.perf_counter()
        outcome = "nothing"
        try:
            answer = implementation.function(*positional, **named)
            outcome = _shown(answer)
        except BaseException as error:
            outcome = f"raised {type(error).__name__}"
            raise
        else:
            return answer
        finally:
            spent = (time.perf_counter() - started) * 1000
            log.info("%s %s: %s → %s in %.3f ms", implementation.hook, place, who, outcome, spent)

    return told


def _shown(answer: object) -> str:
    """A result as the log may hold it: words of the plugin's own, but no request's values."""
    if answer is None or isinstance(answer, bool | int | float | str):
        return reprlib.repr(answer)
    if isinstance(answer, dict):
        return f"{{{', '.join(sorted(map(str, answer)))}}}"
    if isinstance(answer, list | tuple):
        return f"{len(answer)} × {', '.join(sorted({type(each).__name__ for each in answer})) or 'nothing'}"
    return type(answer).__name__
