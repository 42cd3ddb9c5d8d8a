"""ONNX files: what onnxruntime does not tell of a model, read from the file without its weights.

onnxruntime gives the shape [] both for a scalar and for a tensor of any rank, and says neither the opsets nor the labels
of a ZipMap. The package onnx would tell; it reads the whole file into memory, and serving needs it for nothing else.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from srv.errors import SrvError
from srv_onnx.wire import BadMessage, Field, fields_of

#: How much of a file `is_onnx` reads, and the highest number of a field that a model has.
_HEAD, _HIGHEST_FIELD = 4096, 31
_NOTHING: Mapping[str, Any] = MappingProxyType({})


class _Model:
    """Numbers of ModelProto's fields, as onnx.proto has them; the same for the messages below."""

    IR_VERSION, PRODUCER_VERSION, GRAPH, OPSET_IMPORT = 1, 3, 7, 8


class _Opset:
    DOMAIN, VERSION = 1, 2


class _Graph:
    NODE, INPUT, OUTPUT = 1, 11, 12


class _Node:
    OUTPUT, OP_TYPE, ATTRIBUTE = 2, 4, 5


class _Attribute:
    NAME, INTS, STRINGS = 1, 8, 9


class _ValueInfo:
    NAME, TYPE = 1, 2


class _Type:
    TENSOR, OPTIONAL, ELEMENT, SHAPE = 1, 9, 1, 2


class NotOnnx(SrvError):
    """The file is no ONNX model, or a part of one."""

    def __init__(self, file: Path) -> None:
        super().__init__(f"'{file.name}' is no ONNX model, or it is cut off. Export it again, or copy the whole file.")


@dataclass(frozen=True)
class ModelFile:
    """What an ONNX file says of itself."""

    producer_version: str = ""
    #: The domain of operators → its version; the usual one is called ai.onnx.
    opsets: Mapping[str, int] = field(default_factory=lambda: _NOTHING)
    #: Inputs and outputs that may have any rank; None where the file does not say.
    of_any_rank: frozenset[str] | None = None
    #: The output of a ZipMap → the labels of its columns, in the order of the file.
    labels: Mapping[str, tuple[int | str, ...]] = field(default_factory=lambda: _NOTHING)


def is_onnx(file: Path) -> bool:
    """Whether a file begins as ONNX models do. Reads a few kilobytes of it."""
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEAD)
    except OSError:
        return False
    numbers: list[int] = []
    with suppress(BadMessage):  # because the head of a larger file ends within a field
        numbers.extend(each.number for each in fields_of(head))
    return numbers[:1] == [_Model.IR_VERSION] and max(numbers) <= _HIGHEST_FIELD


def read_model_file(file: Path) -> ModelFile:
    """Return what the file says of itself. Raises NotOnnx."""
    with file.open("rb") as stream:
        try:
            mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:  # the file is empty
            raise NotOnnx(file) from None
    with mapped:
        try:
            return _read_model(fields_of(mapped))
        except BadMessage:
            raise NotOnnx(file) from None


def _read_model(fields: Iterator[Field]) -> ModelFile:
    producer_version, opsets = "", dict[str, int]()
    any_rank, labels = set[str](), dict[str, tuple[int | str, ...]]()
    for each in fields:
        if each.number == _Model.PRODUCER_VERSION:
            producer_version = each.text
        elif each.number == _Model.OPSET_IMPORT:
            said = {inner.number: inner for inner in each.fields()}
            domain = said[_Opset.DOMAIN].text if _Opset.DOMAIN in said else ""
            opsets[domain or "ai.onnx"] = said[_Opset.VERSION].value if _Opset.VERSION in said else 0
        elif each.number == _Model.GRAPH:
            _read_graph(each, any_rank, labels)
    return ModelFile(producer_version, opsets, frozenset(any_rank), labels)


def _read_graph(graph: Field, any_rank: set[str], labels: dict[str, tuple[int | str, ...]]) -> None:
    for each in graph.fields():
        if each.number == _Graph.NODE:
            labels |= _labels_of(each)
        elif each.number in (_Graph.INPUT, _Graph.OUTPUT):
            name, has_rank = _described(each)
            if not has_rank:
                any_rank.add(name)


def _described(info: Field) -> tuple[str, bool]:
    """Return the name of an input or output, and whether its rank is said."""
    name, has_rank = "", False
    for each in info.fields():
        if each.number == _ValueInfo.NAME:
            name = each.text
        elif each.number == _ValueInfo.TYPE:
            has_rank = _has_rank(each)
    return name, has_rank


def _has_rank(kind: Field) -> bool:
    for each in kind.fields():
        if each.number == _Type.TENSOR:
            return any(inner.number == _Type.SHAPE for inner in each.fields())
        if each.number == _Type.OPTIONAL:
            return any(inner.number == _Type.ELEMENT and _has_rank(inner) for inner in each.fields())
    return False


def _labels_of(node: Field) -> dict[str, tuple[int | str, ...]]:
    """Return the labels of a ZipMap by the name of its output; nothing for any other operator."""
    is_zipmap, output = False, ""
    attributes = []
    for each in node.fields():
        if each.number == _Node.OP_TYPE:
            is_zipmap = each.text == "ZipMap"
            if not is_zipmap:
                return {}
        elif each.number == _Node.OUTPUT:
            output = each.text
        elif each.number == _Node.ATTRIBUTE:
            attributes.append(each)  # which may stand before the type
    if not is_zipmap:
        return {}
    return {output: tuple(label for attribute in attributes for label in _values_of(attribute))}


def _values_of(attribute: Field) -> Iterator[int | str]:
    """The integers or texts of an attribute, which a ZipMap has for its labels and for nothing else."""
    for each in attribute.fields():
        if each.number == _Attribute.INTS:
            yield from each.integers()
        elif each.number == _Attribute.STRINGS:
            yield each.text
