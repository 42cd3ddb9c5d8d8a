"""The JSON around the tensors: what an inference request must look like, and the sentence where it does not."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, TypeVar

import msgspec

from srv.errors import InvalidInput, quoted

#: What the protocol lets a parameter be.
Parameter = str | int | float | bool
Envelope = TypeVar("Envelope", bound=msgspec.Struct)
_LEAST, _MOST = -(2**63), 2**64 - 1
Length = Annotated[int, msgspec.Meta(ge=0)]


class InputEnvelope(msgspec.Struct):
    """One tensor of a request; its data stay text until the datatype is known."""

    name: str
    shape: list[Length]
    datatype: str
    data: msgspec.Raw = msgspec.Raw()
    parameters: dict[str, Parameter] | None = None


class OutputEnvelope(msgspec.Struct):
    """An output that the client asks for."""

    name: str
    parameters: dict[str, Parameter] | None = None


class RequestEnvelope(msgspec.Struct):
    """An inference request, unknown fields ignored."""

    inputs: list[InputEnvelope]
    id: str | None = None
    outputs: list[OutputEnvelope] | None = None
    parameters: dict[str, Parameter] | None = None


class MalformedJson(InvalidInput):
    """The body is not JSON."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The body is not valid JSON: {why}.")


class MissingField(InvalidInput):
    """A field that a request must have is not there."""

    def __init__(self, field: str) -> None:
        super().__init__(f"{field} is missing.")


class BadField(InvalidInput):
    """The body is JSON, and a field of it is not what it must be."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}." if field else f"The body: {why}.")


class EmptyBody(InvalidInput):
    """There is no body."""

    def __init__(self) -> None:
        super().__init__("The body is empty; a JSON object belongs there.")


_decode = msgspec.json.Decoder(RequestEnvelope).decode
_PLACE = re.compile(r"^(?P<why>.*?)(?: - at `(?P<place>[^`]*)`)?$", re.DOTALL)
#: msgspec's names of types, in the words of JSON.
_TYPES = {"int": "integer", "float": "number", "str": "string", "bool": "boolean"}
_TYPE = re.compile(r"`?\b(int|float|str|bool|object|array|null)\b`?")
_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]*)`")


def read_envelope(body: bytes) -> RequestEnvelope:
    """The request's envelope. Raises InvalidInput naming the first field that is wrong."""
    return read_json(body, _decode)


def read_json(body: bytes, decode: Callable[[bytes], Envelope]) -> Envelope:
    """What a decoder makes of a body. Raises InvalidInput naming the first field that is wrong."""
    if not body:
        raise EmptyBody
    try:
        if not body.isascii():
            body.decode()  # because fields that nobody reads are skipped, and must be UTF-8 all the same
        return decode(body)
    except msgspec.ValidationError as error:
        raise bad_field(str(error)) from None
    except msgspec.DecodeError as error:
        raise MalformedJson(_without_prefix(str(error))) from None
    except UnicodeDecodeError:
        raise MalformedJson("it is not UTF-8") from None
    except RecursionError:
        raise MalformedJson("it is nested too deep") from None


def checked(given: dict[str, Parameter], where: str) -> dict[str, Parameter]:
    """The parameters of an envelope, as they are. Raises InvalidInput for an integer of more than 64 bits."""
    for name, value in given.items():
        if isinstance(value, int) and not _LEAST <= value <= _MOST:
            raise BadField(f"{where}[{quoted(name)}]", "integer out of range")
    return given


def bad_field(message: str, root: str = "") -> InvalidInput:
    """A message of msgspec's as a sentence that names the field as the client wrote it, below `root`."""
    found = _PLACE.match(message)
    why, place = (found["why"], found["place"] or "$") if found else (message, "$")
    field = root + place.removeprefix("$")
    missing = _MISSING.match(why)
    if missing:
        return MissingField(_joined(field, missing["field"]))
    why = _TYPE.sub(lambda found: _TYPES.get(found[1], found[1]), why)
    return BadField(field.lstrip("."), why[:1].lower() + why[1:].replace(" | ", " or "))


def _joined(parent: str, field: str) -> str:
    parent = parent.lstrip(".")
    return f"{parent}.{field}" if parent else field


def _without_prefix(message: str) -> str:
    return message.removeprefix("JSON is malformed: ").rstrip(".")
