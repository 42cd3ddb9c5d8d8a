"""Records the calls of a runtime's `unload`, and the errors that it raises."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from srv.models.registry import ModelVersion


def watched(model: ModelVersion) -> list[str]:
    """Return a list that will hold the outcome of each call of the running instance's unload: empty, or the error."""
    runtime = model.runtime
    assert runtime is not None
    outcomes: list[str] = []
    unload: Callable[[], Any] = runtime.unload

    def watching() -> Any:
        try:
            outcome = unload()
        except Exception as error:
            outcomes.append(f"{type(error).__name__}: {error}")
            raise
        if inspect.iscoroutine(outcome):
            return awaited(outcome)
        outcomes.append("")
        return outcome

    async def awaited(outcome: Any) -> None:
        try:
            await outcome
        except Exception as error:
            outcomes.append(f"{type(error).__name__}: {error}")
            raise
        outcomes.append("")

    runtime.unload = watching  # type: ignore[method-assign]  # of this instance only, to see it called
    return outcomes
