"""What callers say beside the inputs: names, ids, parameters and headers. What no transport can send is refused here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from srv.errors import InvalidInput, quoted
from srv.inference.response_validation import UnfitParameter, plain
from srv.messages import RequestedOutput
from srv.tensors import Parameters

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
#: Visible characters of Latin-1, and spaces and tabs between them.
_VALUE = re.compile(r"[!-~\x80-\xff]([ \t!-~\x80-\xff]*[!-~\x80-\xff])?")
#: Headers that say how a body is framed, which only its writer knows.
_FRAMING = frozenset({"content-length", "content-type", "inference-header-content-length", "transfer-encoding"})

#: Name of an option → its least value, its types, in words.
_NUMBERS: Mapping[str, tuple[float, Any, str]] = {
    "timeout": (0.001, int | float, "a number of seconds above 0"),
    "retries": (0, int, "a whole number, 0 for none"),
    "connections": (1, int, "a whole number of 1 or more"),
}
#: More seconds than this an operating system's calls do not take.
_MOST = 1e9


class BadArgument(InvalidInput):
    """A call has an argument that cannot be sent."""


def check_numbers(**options: Any) -> None:
    """Raise BadArgument for a number among a client's options that makes no sense."""
    for name, value in options.items():
        least, kinds, meaning = _NUMBERS[name]
        if not isinstance(value, kinds) or isinstance(value, bool) or not least <= value <= _MOST:
            raise BadArgument(f"{name} is {value!r}, and must be {meaning}.")


def name_of(what: str, value: object) -> str:
    """Return a name that a call gives, such as a model's. Raises BadArgument for anything but text."""
    if not isinstance(value, str) or not value:
        raise BadArgument(f"{what} is {value!r}, and must be text that is not empty.")
    return value


def version_of(value: object) -> str | None:
    """Return a version, which may be given as a number. Raises BadArgument."""
    if value is None:
        return None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else name_of("version", value)


def id_of(value: object) -> str | None:
    """Return the id of a request. Raises BadArgument for anything but text."""
    if value is not None and not isinstance(value, str):
        raise BadArgument(f"id is {value!r}, and must be text.")
    return value


def text_of(value: object) -> str:
    """Return the text that a model is to go on from. Raises BadArgument for anything else."""
    if not isinstance(value, str):
        raise BadArgument(f"The text is {quoted(repr(value))}, and must be text.")
    return value


def outputs_of(given: Iterable[str | RequestedOutput] | str | None) -> Iterable[str | RequestedOutput] | None:
    """Return the outputs that are asked for; one may be given by its name alone."""
    return [given] if isinstance(given, str) else given


def parameters_of(given: Parameters) -> dict[str, Any]:
    """Return parameters as they are sent: without those that are None. Raises BadArgument naming the one that cannot be sent."""
    return {_text("parameter", name): _value(name, value) for name, value in given.items() if value is not None}


def headers_of(given: Mapping[Any, Any], allowed: str = "") -> dict[str, str]:
    """Return headers as they are sent, numbers as text. Raises BadArgument naming the one that cannot be sent.

    Headers that only the writer of a body knows are refused, but the `allowed` one.
    """
    headers = {}
    for name, value in given.items():
        text = str(value) if isinstance(value, int | float) else value
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise BadArgument(f"{quoted(str(name))} is no name of a header.")
        if name.lower() in _FRAMING and name.lower() != allowed:
            raise BadArgument(f"The header {name} is written by the client itself.")
        if not isinstance(text, str) or (text and not _VALUE.fullmatch(text)):
            raise BadArgument(f"The header {name} has a value that no header can have.")
        headers[name] = text
    return headers


def as_json_bytes(what: str, document: Any) -> bytes:
    """Return a document as JSON. Raises BadArgument where it holds what JSON cannot say."""
    try:
        return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError as error:
        raise BadArgument(f"{what} cannot be written as JSON: {error}.") from None


def _value(name: str, value: Any) -> Any:
    if isinstance(value, list | tuple | dict):  # which some models take, over HTTP
        as_json_bytes(f"The parameter {quoted(name)}", value)
        return value
    try:
        return plain(name, value)
    except UnfitParameter as error:
        raise BadArgument(f"The parameter {quoted(name)} is {error.why}, which the protocol cannot carry.") from None


def _text(what: str, name: object) -> str:
    if not isinstance(name, str) or not name.isprintable():
        raise BadArgument(f"{name!r} is no name of a {what}, which is text.")
    return name
