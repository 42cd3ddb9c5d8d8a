"""The arguments of predict: which inputs each one takes, and the function that makes all of them from a request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from srv.codec import InputCodec, RequestCodec
from srv.codecs import Codecs
from srv.errors import listed
from srv.inference.decoding import Decoding
from srv.inference.signatures.errors import BadHint, BadSignature
from srv.inference.signatures.fitting import request_codec
from srv.inference.signatures.hints import Hint, shown
from srv.inference.signatures.reading import InputReader, Reading, WholeReader, reading_of
from srv.inference.signatures.records import Field, Record, record_of
from srv.messages import InferenceRequest, MissingInput

#: Turns a request into the arguments of predict, by name.
Arguments = Callable[[InferenceRequest], Mapping[str, Any]]


class Input(msgspec.Struct, frozen=True):
    """One input: how it is read, and whether requests may leave it out."""

    reading: Reading
    reader: InputReader
    optional: bool


class _Group(msgspec.Struct, frozen=True):
    """An argument of several inputs: a dataclass, a NamedTuple or a TypedDict.

    `absent` are the fields that are None where a request leaves them out. An `optional` argument is itself None, or its
    default, where a request brings none of its inputs.
    """

    argument: str
    make: Callable[..., Any]
    names: tuple[str, ...]
    required: tuple[str, ...]
    absent: Mapping[str, Any]
    optional: bool
    has_default: bool

    def take(self, values: dict[str, Any], request: InferenceRequest) -> Mapping[str, Any]:
        """Take the group's inputs out of `values`, and return the argument by its name; nothing where its default holds."""
        given = {name: values.pop(name) for name in self.names if name in values}
        if self.optional and not given:
            return {} if self.has_default else {self.argument: None}
        for name in self.required:
            if name not in given:
                raise MissingInput(name, [tensor.name for tensor in request.inputs])
        return {self.argument: self.make(**{**self.absent, **given})}


class Compiler:
    """Collects the arguments of one method."""

    def __init__(self, method: str, codecs: Codecs, decoding: Decoding) -> None:
        self._method = method
        self._codecs = codecs
        self._decoding = decoding
        self._absent: dict[str, Any] = {}
        self._groups: list[_Group] = []
        self._whole: dict[str, WholeReader] = {}
        self._request_codecs: list[RequestCodec] = []
        self.inputs: dict[str, Input] = {}
        #: The arguments that are the request itself.
        self.requests: list[str] = []

    @property
    def codecs(self) -> frozenset[InputCodec | RequestCodec]:
        """The codecs that the hints of the arguments name."""
        read = (each.reading.codec for each in self.inputs.values() if each.reading.codec is not None)
        return frozenset([*read, *self._request_codecs])

    @property
    def open(self) -> bool:
        """Whether the method may look at inputs that it does not name."""
        return bool(self.requests or self._whole)

    def add_request(self, name: str) -> None:
        """Add an argument that gets the InferenceRequest."""
        self.requests.append(name)

    def add(self, name: str, hint: Hint, *, has_default: bool) -> None:
        """Add an argument, read as its hint says. Raises BadHint where no codec reads the hint, BadSignature for settings that do not fit."""
        reading = reading_of(name, hint, self._codecs)
        if reading is not None:
            if name in self.inputs:
                raise BadSignature(
                    f"{self._method}'s argument '{name}' is a field of another argument too; rename one."
                )
            self._add_input(name, reading, optional=hint.optional or has_default)
            if hint.optional and not has_default:
                self._absent[name] = None
            return
        whole = request_codec(hint.type, self._codecs)
        if whole is not None:
            self._whole[name] = WholeReader(hint.type, whole, self._method, self._codecs, self._decoding)
            self._request_codecs.append(whole)
            return
        record = record_of(hint.type)
        if record is None:
            raise _unread(hint, self._codecs)
        self._add_record(name, record, hint, has_default=has_default)

    def compiled(self) -> Arguments:
        """Return the function that makes the arguments. Whatever does not depend on the request is decided here, at load."""
        usual = {name: each.reader.usual for name, each in self.inputs.items()}
        readers = {name: each.reader for name, each in self.inputs.items()}
        absent, groups, whole, requests = self._absent, self._groups, self._whole, self.requests

        def read(request: InferenceRequest) -> Mapping[str, Any]:
            values = absent.copy()
            for tensor in request.inputs:
                name = tensor.name
                decode = usual.get(name)
                if decode is None:
                    continue
                if tensor.parameters or request.parameters:  # which may name a content type
                    values[name] = readers[name](request, tensor)
                else:
                    values[name] = decode(tensor)
            if groups:
                made = [group.take(values, request) for group in groups]
                for argument in made:  # only now, because a field may have the name of another argument
                    values.update(argument)
            for name, read_whole in whole.items():
                values[name] = read_whole(request)
            for name in requests:
                values[name] = request
            return values

        return read

    def _add_input(self, name: str, reading: Reading, *, optional: bool) -> None:
        reader = InputReader(name, reading, self._method, self._codecs, self._decoding)
        self.inputs[name] = Input(reading, reader, optional)

    def _add_record(self, argument: str, record: Record, hint: Hint, *, has_default: bool) -> None:
        if not record.fields:
            raise BadHint(f"{shown(hint.type)}, which has no fields")
        optional = hint.optional or has_default
        for field in record.fields:
            if field.name in self.inputs:
                raise BadHint(
                    f"{shown(hint.type)}, whose field '{field.name}' is an input of another argument too; rename one"
                )
            reading = self._field(field, hint)
            self._add_input(field.name, reading, optional=optional or field.has_default or field.hint.optional)
        self._groups.append(
            _Group(
                argument,
                record.make,
                names=tuple(field.name for field in record.fields),
                required=tuple(f.name for f in record.fields if not (f.has_default or f.hint.optional)),
                absent={f.name: None for f in record.fields if f.hint.optional and not f.has_default},
                optional=optional,
                has_default=has_default,
            )
        )

    def _field(self, field: Field, hint: Hint) -> Reading:
        try:
            reading = reading_of(field.name, field.hint, self._codecs)
        except BadHint as error:
            raise BadHint(f"{shown(hint.type)}, whose field '{field.name}' is hinted with {error}") from None
        if reading is None and record_of(field.hint.type) is not None:
            raise BadHint(f"{shown(hint.type)}, whose field '{field.name}' has fields of its own; make it flat")
        if reading is None:
            raise BadHint(
                f"{shown(hint.type)}, whose field '{field.name}' is hinted with {_unread(field.hint, self._codecs)}"
            )
        return reading


def _unread(hint: Hint, codecs: Codecs) -> BadHint:
    known = {*codecs.hints(), "str", "int", "float", "bool", "bytes", "list[float]", "list[int]", "list[bool]"}
    return BadHint(
        f"{shown(hint.type)}, which no installed codec reads; hints that are read: {listed(known, most=30)}, a dataclass or "
        "TypedDict of these"
    )
