"""Load errors: what goes wrong in a load, and the reason as the repository's index tells it."""

from __future__ import annotations

import re
from typing import Any

import marshmallow

from srv.errors import SrvError, closed, said_by
from srv.model_settings import ModelSettings
from srv.models.library_advice import advice_on
from srv.models.main_thread import Interrupted
from srv.models.tracebacks import from_own_code
from srv.shown_paths import shortened, within

_REASON_LENGTH = 300
_PRIVATE = re.compile(r"\bsrv\.model\.\w+(~\d+)?\.")


class LoadedNothing(SrvError):
    """`load` said that it could not."""

    def __init__(self) -> None:
        super().__init__("load() returned False.")


class LoadedLater(SrvError):
    """`load` returned a generator, whose code has not run."""

    def __init__(self, outcome: object) -> None:
        super().__init__(
            f"load() returned a {type(outcome).__name__}, which srv does not run; return True, or nothing, when the model "
            "is loaded."
        )


class BadExtra(SrvError):
    """`parameters.extra` does not fit the runtime's own schema."""

    def __init__(self, error: marshmallow.ValidationError) -> None:
        super().__init__(f"parameters.extra does not fit the runtime: {_sentence(error.messages)}")


class LoadedElsewhereFailed(SrvError):
    """A model could not be loaded in another process; the sentence is the reason as that process has made it."""


class OtherLoadHangs(SrvError):
    """The load of another model has not ended, and the two may not run at once."""

    def __init__(self, other: str, seconds: float) -> None:
        super().__init__(
            f"it has waited {seconds:.0f} s for the load of model '{other}', which has not ended, and only models of "
            f"runtimes with parallel_load = True load beside others. Unload model '{other}', which ends the wait, and mend it."
        )


def reason_of(error: BaseException, settings: ModelSettings) -> str:
    """Return why a load failed, as the index tells it: class and message, paths relative to the model's folder, 300 chars.

    Advice follows, where there is some for the error.
    """
    if isinstance(error, LoadedElsewhereFailed):
        return str(error)
    text = f"{type(error).__name__}: {said_by(error)}".rstrip(": ")
    text = _PRIVATE.sub("", within(text, settings.folder))
    names_urls = isinstance(error, SrvError) and error.names_urls
    text = " ".join((text if names_urls else shortened(text)).split())
    advice = advice_on(error)
    longest = _REASON_LENGTH - len(advice) - 1
    text = text if len(text) <= longest else text[: longest - 1] + "…"
    return closed(text) + advice if advice else text


def shown_traceback(error: BaseException) -> BaseException | None:
    """Return the error with the traceback that the log shows; None for a sentence of srv's own, which needs none."""
    return None if isinstance(error, (SrvError, Interrupted)) else from_own_code(error)


def _sentence(messages: Any, path: str = "extra") -> str:
    if isinstance(messages, dict):
        return " ".join(_sentence(inner, f"{path}.{key}") for key, inner in messages.items())
    return f"{path}: {' '.join(str(message) for message in messages)}"
