"""Reads .proto text, as far as srv's own goes: messages, enums, oneofs, maps and services of proto3, no imports."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)

_TOKEN = re.compile(r"//[^\n]*|\s+|([A-Za-z_][\w.]*|\d+|\"[^\"]*\"|[{}()<>=;,])|(.)")

_SCALARS: Mapping[str, int] = {
    "double": FieldDescriptorProto.TYPE_DOUBLE,
    "float": FieldDescriptorProto.TYPE_FLOAT,
    "int64": FieldDescriptorProto.TYPE_INT64,
    "uint64": FieldDescriptorProto.TYPE_UINT64,
    "int32": FieldDescriptorProto.TYPE_INT32,
    "uint32": FieldDescriptorProto.TYPE_UINT32,
    "bool": FieldDescriptorProto.TYPE_BOOL,
    "string": FieldDescriptorProto.TYPE_STRING,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
}


class NotProto(ValueError):
    """Text that is no .proto, or uses more of the language than is read here."""


def read_proto(name: str, text: str) -> FileDescriptorProto:
    """The descriptor of a file of that name with that text. Raises NotProto."""
    reader = _Reader(text)
    reader.file.name = name
    reader.read_file()
    _Types(reader.file).resolve()
    return reader.file


class _Reader:
    """Goes through the tokens once; each method takes one construct and leaves the token after it."""

    def __init__(self, text: str) -> None:
        self.file = FileDescriptorProto()
        self._tokens = _tokens(text)
        self._token = next(self._tokens, "")

    def read_file(self) -> None:
        while self._token:
            word = self._take()
            if word == "syntax":
                self._expect("=")
                self.file.syntax = self._take().strip('"')
                self._expect(";")
            elif word == "package":
                self.file.package = self._take()
                self._expect(";")
            elif word == "message":
                self._read_message(self.file.message_type.add())
            elif word == "enum":
                self._read_enum(self.file.enum_type.add())
            elif word == "service":
                self._read_service()
            else:
                raise NotProto(f"'{word}' begins nothing that a file may hold.")

    def _read_message(self, message: DescriptorProto) -> None:
        message.name = self._take()
        self._expect("{")
        while not self._passed("}"):
            word = self._take()
            if word == "message":
                self._read_message(message.nested_type.add())
            elif word == "enum":
                self._read_enum(message.enum_type.add())
            elif word == "oneof":
                self._read_oneof(message)
            elif word == "map" and self._passed("<"):
                self._read_map(message)
            else:
                self._read_field(message, word)

    def _read_field(self, message: DescriptorProto, word: str) -> FieldDescriptorProto:
        field = message.field.add(label=FieldDescriptorProto.LABEL_OPTIONAL)
        if word == "repeated":
            field.label = FieldDescriptorProto.LABEL_REPEATED
            word = self._take()
        _set_type(field, word)
        self._read_name_and_number(field)
        return field

    def _read_oneof(self, message: DescriptorProto) -> None:
        index = len(message.oneof_decl)
        message.oneof_decl.add(name=self._take())
        self._expect("{")
        while not self._passed("}"):
            self._read_field(message, self._take()).oneof_index = index

    def _read_map(self, message: DescriptorProto) -> None:
        """A map is a repeated message of key and value, by the rules of the wire."""
        key = self._take()
        self._expect(",")
        value = self._take()
        self._expect(">")
        field = message.field.add(label=FieldDescriptorProto.LABEL_REPEATED, type=FieldDescriptorProto.TYPE_MESSAGE)
        self._read_name_and_number(field)
        entry = message.nested_type.add(name=field.name.title().replace("_", "") + "Entry")
        entry.options.map_entry = True
        for number, (name, word) in enumerate((("key", key), ("value", value)), start=1):
            _set_type(entry.field.add(name=name, number=number, label=FieldDescriptorProto.LABEL_OPTIONAL), word)
        field.type_name = entry.name

    def _read_name_and_number(self, field: FieldDescriptorProto) -> None:
        field.name = self._take()
        self._expect("=")
        field.number = int(self._take())
        self._expect(";")

    def _read_enum(self, enum: EnumDescriptorProto) -> None:
        enum.name = self._take()
        self._expect("{")
        while not self._passed("}"):
            value = enum.value.add(name=self._take())
            self._expect("=")
            value.number = int(self._take())
            self._expect(";")

    def _read_service(self) -> None:
        service = self.file.service.add(name=self._take())
        self._expect("{")
        while not self._passed("}"):
            self._expect("rpc")
            method = service.method.add(name=self._take())
            self._expect("(")
            if self._passed("stream"):
                method.client_streaming = True
            method.input_type = self._take()
            for token in (")", "returns", "("):
                self._expect(token)
            if self._passed("stream"):
                method.server_streaming = True
            method.output_type = self._take()
            for token in (")", ";"):
                self._expect(token)

    def _take(self) -> str:
        token = self._token
        if not token:
            raise NotProto("The text ends in the middle.")
        self._token = next(self._tokens, "")
        return token

    def _passed(self, token: str) -> bool:
        if self._token != token:
            return False
        self._take()
        return True

    def _expect(self, token: str) -> None:
        found = self._take()
        if found != token:
            raise NotProto(f"'{found}' stands where '{token}' was expected.")


class _Types:
    """Names of types as the text has them, made full: looked for from the inside out."""

    def __init__(self, file: FileDescriptorProto) -> None:
        self._file = file
        self._kinds: dict[str, int] = {}
        self._package = f".{file.package}"
        self._declare(self._package, file)

    def resolve(self) -> None:
        for message in self._file.message_type:
            self._resolve(f"{self._package}.{message.name}", message)
        for service in self._file.service:
            for method in service.method:
                method.input_type = self._found(self._package, method.input_type)
                method.output_type = self._found(self._package, method.output_type)

    def _declare(self, scope: str, holder: FileDescriptorProto | DescriptorProto) -> None:
        messages = holder.message_type if isinstance(holder, FileDescriptorProto) else holder.nested_type
        for message in messages:
            self._kinds[f"{scope}.{message.name}"] = FieldDescriptorProto.TYPE_MESSAGE
            self._declare(f"{scope}.{message.name}", message)
        for enum in holder.enum_type:
            self._kinds[f"{scope}.{enum.name}"] = FieldDescriptorProto.TYPE_ENUM

    def _resolve(self, scope: str, message: DescriptorProto) -> None:
        for field in message.field:
            if field.type_name:
                field.type_name = self._found(scope, field.type_name)
                field.type = self._kinds[field.type_name]
        for nested in message.nested_type:
            self._resolve(f"{scope}.{nested.name}", nested)

    def _found(self, scope: str, name: str) -> str:
        while scope:
            if f"{scope}.{name}" in self._kinds:
                return f"{scope}.{name}"
            scope = scope.rpartition(".")[0]
        raise NotProto(f"Nothing is called '{name}'.")


def _set_type(field: FieldDescriptorProto, word: str) -> None:
    if word in _SCALARS:
        field.type = _SCALARS[word]
    else:
        field.type_name = word


def _tokens(text: str) -> Iterator[str]:
    for match in _TOKEN.finditer(text):
        if match[2]:
            raise NotProto(f"'{match[2]}' is no part of the language.")
        if match[1]:
            yield match[1]
