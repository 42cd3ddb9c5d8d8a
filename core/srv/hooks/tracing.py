"""The log of hook calls for trace_plugins: plugin, order, result and duration."""

from __future__ import annotations

import functools
import logging
import reprlib
import time
from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from srv.hooks.implementations import Implementation

log = logging.getLogger("srv.plugins.trace")


class Trace:
    """Wraps implementations so that each call is logged; does nothing while tracing is off."""

    def __init__(self, on: bool) -> None:  # noqa: FBT001 - made in one place, by name
        self._on = on

    def of(self, implementations: Sequence[Implementation]) -> list[Implementation]:
        """Return the implementations, with a log line for each call if tracing is on."""
        if not self._on:
            return list(implementations)
        return [
            replace(each, function=_logged(each, f"{place}/{len(implementations)}"))
            for place, each in enumerate(implementations, start=1)
        ]


def _logged(implementation: Implementation, place: str) -> Callable[..., Any]:
    who = f"{implementation.plugin.name} of {implementation.plugin.distribution}"

    @functools.wraps(implementation.function)
    def logged(*positional: Any, **named: Any) -> Any:
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

    return logged


def _shown(answer: object) -> str:
    """Return a result as the log may hold it: the plugin's own words, and no values of requests."""
    if answer is None or isinstance(answer, bool | int | float | str):
        return reprlib.repr(answer)
    if isinstance(answer, dict):
        return f"{{{', '.join(sorted(map(str, answer)))}}}"
    if isinstance(answer, list | tuple):
        return f"{len(answer)} × {', '.join(sorted({type(each).__name__ for each in answer})) or 'nothing'}"
    return type(answer).__name__
