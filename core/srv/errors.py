"""The vocabulary of failure: one class for each thing that goes wrong, and the class makes the sentence."""

from __future__ import annotations

from collections.abc import Iterable


def quoted(word: object, *, most: int = 80) -> str:
    """A request's own word as it may be shown: in quotes, printable, at most 80 characters."""
    text = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in str(word))
    return f"'{text}'" if len(text) <= most else f"'{text[: most - 1]}…'"


def nearest(word: str, known: Iterable[str]) -> str:
    """`` Did you mean 'x'?`` with a leading blank where something near is known, else nothing."""
    from difflib import get_close_matches  # here, because only what went wrong needs it

    matches = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean '{matches[0]}'?" if matches else ""


def listed(names: Iterable[str], *, most: int = 10) -> str:
    """Names as a sentence lists them, sorted, the rest counted beyond ten; 'none' where there are none."""
    ordered = sorted(names)
    shown = ", ".join(ordered[:most])
    if len(ordered) > most:
        shown += f" and {len(ordered) - most} more"
    return shown or "none"


def closed(reason: str) -> str:
    """A reason as the end of a sentence: with a full stop, unless it brings its own end."""
    return reason if reason.endswith((".", "?", "!", "…")) else f"{reason}."


class SrvError(Exception):
    """Something that a person will read: a sentence that says what happened and what to do."""


# -- what a request can get wrong, or meet ---------------------------------------------------------------------------


class InvalidInput(SrvError):
    """The request cannot be served as it stands; a runtime raises it for inputs that it refuses."""


class Unauthenticated(SrvError):
    """No credentials, or wrong ones; for plugins that ask for them."""


class Forbidden(SrvError):
    """The caller is known, or need not be, and may not do this."""


class NotFound(SrvError):
    """A model, a version or a route that is not there."""


class UnknownModel(NotFound):
    """The request names a model that the repository does not hold."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"No model is called {quoted(name)}.{nearest(name, known)}")


class UnknownVersion(NotFound):
    """The model is there, the version is not."""

    def __init__(self, name: str, version: str, known: Iterable[str]) -> None:
        super().__init__(f"Model '{name}' has no version {quoted(version)}; it has {listed(known)}.")


class TooLarge(SrvError):
    """A body longer than max_body_size, as sent or after decompression."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The request's body is larger than the {limit} bytes that max_body_size allows.")


class UnsupportedMedia(SrvError):
    """A content type or content encoding that srv does not take."""


class QueueFull(SrvError):
    """More requests wait than the queue may hold."""


class ModelError(SrvError):
    """The runtime raised, or returned what cannot be sent; the log has the rest."""


class Unimplemented(SrvError):
    """An extension that is not built, or turned off."""


class Unavailable(SrvError):
    """Not now: the model is not ready, its process died, or the server is draining."""


class DeadlinePassed(SrvError):
    """The request's time was over before its answer was there."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"The request was not answered within its {seconds:g} seconds.")


class ClientLeft(SrvError):
    """Nobody waits for the answer any more; what worked for it was told to stop."""

    def __init__(self) -> None:
        super().__init__("The client left before its answer was there.")


# -- what keeps a server from starting -------------------------------------------------------------------------------


class SettingsError(SrvError):
    """A setting, on the command line, in the environment or in a file, that cannot be used."""


class LoadFailed(SrvError):
    """A model could not be loaded."""


class LoadIncomplete(SrvError):
    """This worker has loaded or unloaded a model, and another one could not follow; that one is not ready."""

    def __init__(self, do: str, name: str, failures: Iterable[str]) -> None:
        super().__init__(f"Model '{name}' could not be {do}ed in every worker. {' '.join(failures)}")
