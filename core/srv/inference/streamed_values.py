"""The values of a stream as its model makes them: timed, with the errors of the model told, and closed at the end."""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from typing import Any

from srv.cancellation import Caller
from srv.inference.model_failures import SPOKEN, failure_of
from srv.metrics_types import Stages


def streamed_values(
    values: Generator[Any, None, None],
    model: str,
    caller: Caller,
    stages: Stages,
    *,
    timeout: float,
    raised: str,
    spoken: tuple[type[Exception], ...] = SPOKEN,
) -> Generator[Any, None, None]:
    """Yield what a model's iterator yields. The deadline is for the first value; the close of the iterator has `timeout`.

    Raises what is `spoken` to the client as it is, and a PredictFailed with the log's sentence `raised` for all else. An
    error of the close is only logged, because the answer has ended.
    """
    try:
        while True:
            began, queued = time.monotonic_ns(), stages.queue
            try:
                value = next(values)
            except StopIteration:
                return
            except spoken:
                raise
            except BaseException as error:  # a panic in Rust is no Exception either
                raise failure_of(model, error, raised) from error
            caller.due = math.inf
            stages.infer += time.monotonic_ns() - began - (stages.queue - queued)
            yield value
    finally:
        caller.due = time.monotonic() + timeout
        try:
            values.close()
        except BaseException as error:  # noqa: BLE001  the answer has ended, so that it is only logged
            failure_of(model, error, "Model '%s' raised when its stream was closed.")
