"""The vocabulary of failure: one class for each thing that goes wrong, and the class makes the sentence."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from typing import ClassVar

#: The longest sentence that is told, in characters.
_LONGEST = 2000
_KEY = re.compile(r"'[^']*'|\"[^\"]*\"")


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


def said_by(error: BaseException) -> str:
    """Return an exception's text as one line of printable characters; empty where it has none, or raises for it."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - somebody's own __str__ may raise anything
        return ""
    if error.args and isinstance(error.args[0], KeyError):
        text = f"KeyError: {text}"
    if text.isascii() and text.isprintable():
        return text.strip()
    text = " ".join(text.split())
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def sentence_of(error: SrvError) -> str:
    """Return the sentence for clients: one line, never empty, of a length that every face can send."""
    said = said_by(error) or error.unsaid
    if _KEY.fullmatch(said):  # str() of a KeyError is the key in quotes, and no sentence
        said = f"{error.unsaid.rstrip('.')}: {said}."
    return said if len(said) <= _LONGEST else f"{said[: _LONGEST - 1]}…"


class SrvError(Exception):
    """An error that a person will read: a sentence that says what happened and what to do."""

    #: The stable name that clients get beside the sentence, over every face; `code_of` gives it.
    code: ClassVar[str] = "INTERNAL"
    #: The sentence of an error that is raised without a text.
    unsaid: ClassVar[str] = "Something went wrong."
    #: Whether paths in the sentence are those of URLs, which may be told, and not of files.
    names_urls: ClassVar[bool] = False
    #: The id of the request, on errors that the client raises for what a server has answered.
    request_id: str | None = None
    #: After how many seconds the server asks for another try, on such errors.
    retry_after: float | None = None

    def __str__(self) -> str:
        said = " ".join(map(str, self.args))
        return said if said.strip() else self.unsaid


class Stopped(SystemExit):
    """A signal ends this process at once. Code that catches errors of plugins must let this one through."""


def is_from_signal(error: BaseException) -> bool:
    """Return whether a signal that ends the process raised the error, and not a model.

    Python raises a signal's KeyboardInterrupt in the main thread only.
    """
    if isinstance(error, KeyboardInterrupt):
        return threading.current_thread() is threading.main_thread()
    return isinstance(error, Stopped)


# -- what a request can get wrong, or meet ---------------------------------------------------------------------------


class InvalidInput(SrvError):
    """The request cannot be served as it stands; a runtime raises it for inputs that it refuses."""

    code = "INVALID_INPUT"
    unsaid: ClassVar[str] = "The request cannot be served as it stands."


class Unauthenticated(SrvError):
    """No credentials, or wrong ones; for plugins that ask for them."""

    code = "UNAUTHENTICATED"
    unsaid: ClassVar[str] = "Credentials are missing or wrong."


class Forbidden(SrvError):
    """The caller is known, or need not be, and may not do this."""

    code = "FORBIDDEN"
    unsaid: ClassVar[str] = "This is not allowed."


class NotFound(SrvError):
    """A model, a version or a route that is not there."""

    code = "NOT_FOUND"
    unsaid: ClassVar[str] = "Nothing of that name is there."


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

    code = "TOO_LARGE"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The request's body is larger than the {limit} bytes that max_body_size allows.")


class UnsupportedMedia(SrvError):
    """A content type or content encoding that srv does not take."""

    code = "UNSUPPORTED_MEDIA"
    unsaid: ClassVar[str] = "The content type or the content encoding is not taken."


class QueueFull(SrvError):
    """More requests wait than the queue may hold."""

    code = "QUEUE_FULL"
    unsaid: ClassVar[str] = "Too many requests wait already. Try again later."


class ModelError(SrvError):
    """The runtime raised, or returned what cannot be sent; the log has the rest."""

    code = "MODEL_ERROR"
    unsaid: ClassVar[str] = "The model failed; the server's log says more."


class PluginFailed(SrvError):
    """A plugin's code raised around a request. The plugin and the error are in the log already."""

    def __init__(self, plugin: str, where: str, error: BaseException) -> None:
        super().__init__(f"A plugin raised {type(error).__name__} in {where}; the server's log says which and why.")
        self.plugin = plugin
        self.where = where


class Unimplemented(SrvError):
    """An extension that is not built, or turned off."""

    code = "UNIMPLEMENTED"
    unsaid: ClassVar[str] = "This is not implemented."


class Unavailable(SrvError):
    """Not now: the model is not ready, its process died, or the server is draining."""

    code = "UNAVAILABLE"
    unsaid: ClassVar[str] = "The model cannot answer now. Try again in a moment."


class OutOfMemory(Unavailable):
    """The process has no memory for what a request needs outside of its model; no limit of the settings is to blame."""

    unsaid: ClassVar[str] = "The server has no memory left for this request. Try again later, or send less at once."


class DeadlinePassed(SrvError):
    """The request's time was over before its answer was there."""

    code = "DEADLINE"

    def __init__(self, seconds: float, *, of_client: bool = False) -> None:
        if of_client and seconds <= 0.0:
            super().__init__("The request's deadline had passed before it was asked.")
            return
        time = f"the {_hundredths(seconds)} seconds that its client gave" if of_client else f"its {seconds:g} seconds"
        super().__init__(f"The request was not answered within {time}.")


def _hundredths(seconds: float) -> str:
    """Return a time without the fractions that it has lost on its way here."""
    return f"{round(seconds, 2 if seconds >= 0.05 else 3):g}"


class ClientLeft(SrvError):
    """Nobody waits for the answer any more; what worked for it was told to stop."""

    code = "CANCELLED"

    def __init__(self) -> None:
        super().__init__("The client left before its answer was there.")


# -- what keeps a server from starting -------------------------------------------------------------------------------


class SettingsError(SrvError):
    """A setting, on the command line, in the environment or in a file, that cannot be used."""

    unsaid: ClassVar[str] = "A setting cannot be used."


class LoadFailed(SrvError):
    """A model could not be loaded."""

    code = "LOAD_FAILED"
    unsaid: ClassVar[str] = "The model could not be loaded; the server's log says more."


class LoadIncomplete(SrvError):
    """This worker has loaded or unloaded a model, and another one could not follow; that one is not ready."""

    code = "LOAD_INCOMPLETE"

    def __init__(self, do: str, name: str, failures: Iterable[str]) -> None:
        super().__init__(f"Model '{name}' could not be {do}ed in every worker. {' '.join(failures)}")


#: Every stable name that a class above has.
CODES = frozenset(
    kind.code for kind in list(globals().values()) if isinstance(kind, type) and issubclass(kind, SrvError)
)


def code_of(error: BaseException) -> str:
    """Return the stable name of an error: its class's own, or that of the nearest base; INTERNAL for any other exception."""
    for kind in type(error).__mro__ if isinstance(error, SrvError) else ():
        code = vars(kind).get("code")
        if isinstance(code, str) and code in CODES:
            return code
    return SrvError.code
