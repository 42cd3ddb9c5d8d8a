"""Whether both faces can send a response: its outputs, its parameters, its headers."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np

from srv.errors import ModelError, quoted
from srv.messages import InferenceResponse
from srv.tensors import EMPTY, Tensor

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t -~\xa0-\xff]*")  # what Latin-1 has and a line can hold
_LEAST, _MOST = -(2**63), 2**64 - 1


class NotSendable(ModelError):
    """A response with something in it that no face can send."""

    def __init__(self, what: str) -> None:
        super().__init__(f"The response has {what}.")


class UnfitParameter(ModelError):
    """A response's parameter that the protocol cannot say."""

    def __init__(self, name: object, why: str) -> None:
        super().__init__(f"The response's parameter {quoted(name)} is {why}, which the protocol cannot carry.")
        #: The parameter, and its value in words, for sentences about something else than a response.
        self.name, self.why = name, why


def check_response(response: InferenceResponse) -> None:
    """Raise a ModelError for what would break the answer, or mean one thing on one face and another on the other."""
    given: Sequence[object] = response.outputs  # as its author says
    seen: list[str] = []
    for tensor in given:
        if not isinstance(tensor, Tensor):
            raise NotSendable(f"a {type(tensor).__name__} among its outputs; they must be Tensors")
        name: object = tensor.name
        if not (isinstance(name, str) and (name.isascii() or _is_text(name))):
            raise NotSendable(f"an output with {quoted(name)} for its name, which is no text")
        if tensor.missing:
            raise NotSendable(
                f"a missing value (None) in the output {quoted(name)} of BYTES, which no face can send; "
                "say it as a table of content type 'pd', or as a text of its own"
            )
        if name in seen:
            raise NotSendable(f"two outputs called {quoted(name)}")
        seen.append(name)
        if tensor.parameters is not EMPTY:
            _check_parameters(tensor.parameters)
    if response.parameters is not EMPTY:
        _check_parameters(response.parameters)
    if response.headers is not EMPTY:
        check_headers(response.headers)


def plain(name: str, value: object) -> str | int | float | bool:
    """Return a parameter's value in Python's own types. Raises UnfitParameter for what is no text, number or boolean."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        if not _is_text(value):
            raise UnfitParameter(name, "text with half a character in it")
        return value
    if isinstance(value, int):
        if not _LEAST <= value <= _MOST:
            raise UnfitParameter(name, "an integer of more than 64 bits")
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise UnfitParameter(name, str(value))
        return value
    raise UnfitParameter(name, f"a {type(value).__name__}")


def _check_parameters(parameters: object) -> None:
    if type(parameters) is not dict and not isinstance(parameters, Mapping):  # ABCs are slow to ask
        raise NotSendable(f"parameters that are a {type(parameters).__name__}, not a dict")
    for name, value in parameters.items():
        if type(name) is type(value) is str and name.isascii() and value.isascii():
            continue  # as nearly all are
        if not (isinstance(name, str) and _is_text(name)):
            raise NotSendable(f"a parameter with {quoted(name)} for its name, which is no text")
        plain(name, value)


def check_headers(headers: object) -> None:
    """Raise NotSendable for headers that are no mapping, or that HTTP cannot carry."""
    if not isinstance(headers, Mapping):
        raise NotSendable(f"headers that are a {type(headers).__name__}, not a dict")
    for name, value in headers.items():
        if not (isinstance(name, str) and _HEADER_NAME.fullmatch(name)):
            raise NotSendable(f"the header {quoted(name)}, which is no header's name")
        if not (isinstance(value, str) and _HEADER_VALUE.fullmatch(value)):
            raise NotSendable(f"the header '{name}' with a value that is no text of one line in Latin-1")


def _is_text(word: str) -> bool:
    """Return whether UTF-8 can say it: not with one half of a surrogate pair."""
    return word.isascii() or not any("\ud800" <= character <= "\udfff" for character in word)
