"""The JSON around the tensors: the fields of an inference request, and an error for each that is wrong."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, TypeVar

import msgspec

from srv.errors import InvalidInput, quoted
from srv.wire.json_nesting import is_too_deep

Envelope = TypeVar("Envelope")
_LEAST, _MOST = -(2**63), 2**64 - 1
Length = Annotated[int, msgspec.Meta(ge=0)]


class InputEnvelope(msgspec.Struct):
    """One tensor of a request; its data stay text until the datatype is known."""

    name: str
    shape: list[Length]
    datatype: str
    data: msgspec.Raw = msgspec.Raw()
    parameters: dict[str, Any] | None = None


class OutputEnvelope(msgspec.Struct):
    """An output that the client asks for."""

    name: str
    parameters: dict[str, Any] | None = None


class RequestEnvelope(msgspec.Struct):
    """An inference request, unknown fields ignored."""

    inputs: list[InputEnvelope]
    id: str | None = None
    outputs: list[OutputEnvelope] | None = None
    parameters: dict[str, Any] | None = None


class MalformedJson(InvalidInput):
    """The body is not JSON."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The body is not valid JSON: {why}.")


class MissingField(InvalidInput):
    """A required field is missing."""

    def __init__(self, field: str) -> None:
        super().__init__(f"{field} is missing.")


class ForeignBody(InvalidInput):
    """The body is a request of another protocol: it has no `inputs`."""

    def __init__(self, field: str, protocol: str) -> None:
        super().__init__(
            f"inputs is missing, and '{field}' is a field of {protocol}. This is V2, which takes "
            '{"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [1.0, 2.0]}]}.'
        )


class BadField(InvalidInput):
    """A field of the JSON has a value of the wrong kind."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}." if field else f"The body: {why}.")


class LoneSurrogate(BadField):
    """A text holds one half of a surrogate pair, such as the first half of an emoji that was cut in two."""

    def __init__(self, field: str) -> None:
        super().__init__(field, "the text holds half of a surrogate pair, which UTF-8 cannot say")


class EmptyBody(InvalidInput):
    """The request has no body."""

    def __init__(self) -> None:
        super().__init__("The body is empty; a JSON object belongs there.")


_decode = msgspec.json.Decoder(RequestEnvelope).decode
_PLACE = re.compile(r"^(?P<why>.*?)(?: - at `(?P<place>[^`]*)`)?$", re.DOTALL)
#: msgspec's names of types, in the words of JSON.
_TYPES = {"int": "integer", "float": "number", "str": "string", "bool": "boolean"}
_TYPE = re.compile(r"`?\b(int|float|str|bool|object|array|null)\b`?")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_HALF = re.compile("[\ud800-\udfff]")
_BYTE = re.compile(r"\(byte (?P<byte>\d+)\)$")
#: What clients in Python and JavaScript write for numbers that JSON has not, and what to do in place of it.
_NO_NUMBERS = {b"NaN": "write null in its place", b"Infinity": "send its tensor as binary data"}
_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]*)`")


def read_envelope(body: bytes) -> RequestEnvelope:
    """Return the request's envelope. Raises InvalidInput naming the first field that is wrong."""
    return read_json(body, _decode)


def read_json(body: bytes, decode: Callable[[bytes], Envelope]) -> Envelope:
    """Return what a decoder makes of a body. Raises InvalidInput naming the first field that is wrong."""
    if not body:
        raise EmptyBody
    if is_too_deep(body):
        raise MalformedJson("it is nested too deep")
    try:
        if not body.isascii():
            body.decode()  # because fields that nobody reads are skipped, and must be UTF-8 all the same
        return decode(body)
    except msgspec.ValidationError as error:
        raise _more_exact(bad_field(str(error)), str(error), body) from None
    except msgspec.DecodeError as error:
        lone = _lone_surrogate(body)
        if lone is not None:
            raise LoneSurrogate(lone) from None
        raise MalformedJson(_no_number(str(error), body) or _without_prefix(str(error))) from None
    except UnicodeDecodeError:
        raise MalformedJson("it is not UTF-8") from None
    except RecursionError:
        raise MalformedJson("it is nested too deep") from None


def checked(given: dict[str, Any], where: str) -> dict[str, Any]:
    """Return the parameters of an envelope that have a value, lists and objects too, which the model may refuse.

    Null is no value, because clients with typed fields write it for what they leave out. Raises InvalidInput for an
    integer of more than 64 bits, however deep in lists and objects.
    """
    for name, value in given.items():
        if isinstance(value, int | list | dict) and not _fits(value):
            raise BadField(f"{where}[{quoted(name)}]", "integer out of range")
    if None in given.values():
        return {name: value for name, value in given.items() if value is not None}
    return given


def _fits(value: object) -> bool:
    """Return whether no integer in a value has more than 64 bits."""
    return all(_LEAST <= inner <= _MOST for inner in _within(value) if isinstance(inner, int))


def _within(value: object) -> Iterator[object]:
    """Yield a value, and all values in its lists and objects, however deep."""
    left = [value]
    while left:
        value = left.pop()
        yield value
        if isinstance(value, list):
            left += value
        elif isinstance(value, dict):
            left += value.values()


def _is_infinite(value: object) -> bool:
    return isinstance(value, float) and math.isinf(value)


def bad_field(message: str, root: str = "") -> InvalidInput:
    """Return the error for a message of msgspec's; it names the field, below `root`, as the client wrote it."""
    found = _PLACE.match(message)
    why, place = (found["why"], found["place"] or "$") if found else (message, "$")
    field = root + place.removeprefix("$")
    missing = _MISSING.match(why)
    if missing:
        return MissingField(_joined(field, missing["field"]))
    why = _TYPE.sub(lambda found: _TYPES.get(found[1], found[1]), why)
    return BadField(field.lstrip("."), why[:1].lower() + why[1:].replace(" | ", " or "))


#: Fields that bodies of other protocols have in the place of `inputs`.
_FOREIGN = {
    "instances": "the V1 protocol",
    "dataframe_split": "MLflow's protocol",
    "dataframe_records": "MLflow's protocol",
    "ndarray": "Seldon's protocol",
}


def _more_exact(refusal: InvalidInput, message: str, body: bytes) -> InvalidInput:
    """Return an error that names more than msgspec does, such as a parameter's key; None where there is none."""
    found = _PLACE.match(message)
    place = (found["place"] if found else None) or ""
    if "[...]" not in place and "required field `inputs`" not in message:
        return refusal
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        return refusal
    if place:
        return bad_field(message.replace(place, "$" + _with_key(given, _STEPS.findall(place)), 1))
    foreign = next((field for field in _FOREIGN if field in given), None)
    return refusal if foreign is None else ForeignBody(foreign, _FOREIGN[foreign])


_STEPS = re.compile(r"\.[^.\[]+|\[[^\]]*\]")


def _with_key(value: object, steps: Sequence[str]) -> str:
    """Join the steps of a place; `[...]` becomes the first key whose value holds a number that no float can hold."""
    shown = ""
    for step in steps:
        if step == "[...]" and isinstance(value, dict):
            key = next((key for key, inner in value.items() if any(map(_is_infinite, _within(inner)))), None)
            shown, value = f"{shown}[{'...' if key is None else quoted(key)}]", value.get(key)
        elif isinstance(value, list) and step[1:-1].isdigit():
            shown, value = shown + step, value[int(step[1:-1])]
        else:
            shown, value = shown + step, value.get(step[1:]) if isinstance(value, dict) else None
    return shown


def _lone_surrogate(body: bytes) -> str | None:
    """Return the field with half of a surrogate pair, of a body that is JSON otherwise; None where there is none."""
    if not _SURROGATE.search(body):
        return None
    try:
        return next(_lone_surrogates(json.loads(body), ""), None)
    except (ValueError, RecursionError):
        return None


def _lone_surrogates(value: object, field: str) -> Iterator[str]:
    match value:
        case str() if _HALF.search(value):
            yield field
        case list():
            for place, inner in enumerate(value):
                yield from _lone_surrogates(inner, f"{field}[{place}]")
        case dict():
            for name, inner in value.items():
                if _HALF.search(name):
                    yield _joined(field, quoted(name)[1:-1])
                yield from _lone_surrogates(inner, _joined(field, quoted(name)[1:-1]))


def _joined(parent: str, field: str) -> str:
    parent = parent.lstrip(".")
    return f"{parent}.{field}" if parent else field


def _no_number(message: str, body: bytes) -> str | None:
    """Return advice where the decoder stopped at NaN or Infinity, else None."""
    place = _BYTE.search(message)
    if place is None:
        return None
    start = int(place["byte"])
    for word, remedy in _NO_NUMBERS.items():
        if body.startswith(word, start):
            return f"it has no {word.decode()}, {remedy} (byte {start})"
    return None


def _without_prefix(message: str) -> str:
    return message.removeprefix("JSON is malformed: ").rstrip(".")
