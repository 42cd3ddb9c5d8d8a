"""Errors about a request's values, as sentences for the client."""

from __future__ import annotations

import re

import torch

from srv.errors import InvalidInput, closed, listed, nearest, quoted

#: What torch says in its errors where a value of the request is out of range, or a shape one that the program excludes.
_OF_VALUES = (
    "Guard failed: ",
    "Expected input at ",
    "Runtime assertion failed",
    "index out of range in self",
    "is out of bounds for dimension",
    "Class values must be",
)
#: Beginnings of errors that no request is to blame for.
_OF_THE_SERVER = ("CUDA", "[enforce fail", "not enough memory")
_KIND = re.compile(r"^([a-z_]+\.)*[A-Z]\w*(Error|Exception): ")


class Unusable(InvalidInput):
    """The model cannot use the values or shapes of a request."""


class WrongDatatype(Unusable):
    """An input has another datatype than the program takes."""

    def __init__(self, name: str, given: str, wanted: str) -> None:
        super().__init__(f"Input {quoted(name)} is {given}; the model takes {wanted}.")


class WrongRank(Unusable):
    """An input has another number of dimensions than the program takes."""

    def __init__(self, name: str, given: tuple[int, ...], wanted: tuple[int, ...]) -> None:
        super().__init__(
            f"Input {quoted(name)} has shape {list(given)}; the model takes {list(wanted)}, -1 standing for any."
        )


class WrongLength(Unusable):
    """A dimension of an input has a length that the program does not take."""

    def __init__(self, name: str, place: int, given: int, wanted: str) -> None:
        super().__init__(f"Input {quoted(name)} has the length {given} in dimension {place}; the model takes {wanted}.")


class NotOneValue(Unusable):
    """An input that is a single value has another number of elements."""

    def __init__(self, name: str, given: tuple[int, ...]) -> None:
        super().__init__(f"Input {quoted(name)} has shape {list(given)}; the model takes a single value there.")


class NoText(Unusable):
    """An input that is text is not UTF-8."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Input {quoted(name)} is not UTF-8; the model takes text there.")


class Missing(Unusable):
    """An input that the program needs is not there."""

    def __init__(self, name: str, given: list[str]) -> None:
        super().__init__(f"Input {quoted(name)} is missing; the request brings {listed(map(quoted, given))}.")


class Unknown(Unusable):
    """An input that the program does not take."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(f"Input {quoted(name)} is unknown; the model takes {listed(known)}.{nearest(name, known)}")


def as_clients_fault(error: Exception, *, is_checked: bool) -> InvalidInput | None:
    """Return the error for a client whose request torch refuses; None where the client is not at fault.

    `is_checked` says that datatypes and shapes were compared with what the program takes, so that only values can be
    wrong. Without that, whatever torch raises is the client's fault. What a program raises itself, by `raise` or `assert`
    in its forward, is about its inputs, because it has nothing else to complain of.
    """
    if isinstance(error, torch.OutOfMemoryError | NotImplementedError):
        return None
    said = _reason(str(error))
    if isinstance(error, torch.jit.Error) or any(phrase in said for phrase in _OF_VALUES):
        return Unusable(f"The model cannot use these values: {closed(said)}")
    if is_checked or "INTERNAL ASSERT" in said or said.startswith(_OF_THE_SERVER):
        return None
    return Unusable(
        f"The model cannot use these inputs: {closed(said)} Its file does not say what it takes; "
        "`inputs` in its settings can."
    )


def _reason(said: str) -> str:
    """Return the sentence of an error without its traceback in TorchScript, which stands before the last line."""
    lines = said.strip().splitlines() or [""]
    last = lines[-1] if lines[0].startswith("The following operation failed") else lines[0]
    return _KIND.sub("", last)[:300].rstrip()
