"""What a model raises: which of it the client is told as it is, and the error for the client for all else."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from srv.errors import (
    ClientLeft,
    DeadlinePassed,
    Forbidden,
    InvalidInput,
    ModelError,
    QueueFull,
    Unauthenticated,
    Unavailable,
    is_from_signal,
)
from srv.models.library_advice import advice_on
from srv.models.tracebacks import from_call

log = logging.getLogger(__name__)


class PredictFailed(ModelError):
    """predict raised; the client learns the class, the log has the rest."""

    def __init__(self, model: str, error: BaseException) -> None:
        super().__init__(f"Model '{model}' raised {type(error).__name__}; the server's log says more.")


class AskedInCircle(ModelError):
    """Models ask each other without end, or one waits for itself."""

    def __init__(self, models: Sequence[str]) -> None:
        again = models[-1] in models[:-1]
        what = "Models ask each other in a circle" if again else "Too many models ask each other, one within the other"
        super().__init__(f"{what}: {' -> '.join(models)}. Mend what the last but one asks.")


#: What a runtime may raise to say something to the client, or a model that it has asked; anything else that it raises is
#: a ModelError of its own.
SPOKEN = (
    InvalidInput,
    Unauthenticated,
    Forbidden,
    Unavailable,
    QueueFull,
    DeadlinePassed,
    ClientLeft,
    PredictFailed,
    AskedInCircle,
)


def failure_of(model: str, error: BaseException, sentence: str) -> PredictFailed:
    """Log an error of a model's, with a sentence about that model, and return the error for the client.

    Raises the error itself where a signal that ends the process has raised it.
    """
    if is_from_signal(error):
        raise error
    log.error(sentence + "%s", model, advice_on(error), exc_info=from_call(error))
    return PredictFailed(model, error)
