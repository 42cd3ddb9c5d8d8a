"""Descriptions: what a model process tells of its model once it is loaded, and what a worker makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import orjson

from srv.codecs import Codecs
from srv.inference.pipeline import Answering
from srv.messages import ModelMetadata
from srv.models.registry import ModelVersion
from srv.tensors import Parameters
from srv.wire.base64_tensors import Octets

#: No input has this name, so that it stands for those that nobody has named.
_ANY = "\0"


class ModelDescription(msgspec.Struct, frozen=True):
    """What a worker must know of a model that runs in another process."""

    metadata: ModelMetadata
    #: How many requests run at once; None for any number.
    concurrency: int | None = None
    #: Whether the first length of the first input counts as inferences.
    takes_batches: bool = False
    #: Whether it has a queue, whatever its concurrency is.
    content_types: tuple[str, ...] = ()
    #: Those of the content types that are for one tensor, and those whose tensors are base64 in JSON.
    for_one: frozenset[str] = frozenset()
    binary: frozenset[str] = frozenset()
    #: The inputs that are base64 in JSON where the request names no content type; and whether all others are.
    binary_inputs: frozenset[str] = frozenset()
    binary_by_default: bool = False
    #: The codecs of the model's own folder by content type, as settings name them.
    own_codecs: Mapping[str, str] = msgspec.field(default_factory=dict)


def description_of(
    model: ModelVersion, answering: Answering, codecs: Codecs, own: Mapping[str, str]
) -> ModelDescription:
    """Return the description of a loaded model. What its metadata tell must be JSON, or arrays."""
    assert model.metadata is not None
    assert model.octets is not None
    told = orjson.loads(orjson.dumps(dict(model.metadata.parameters), option=orjson.OPT_SERIALIZE_NUMPY, default=str))
    metadata = msgspec.structs.replace(model.metadata, parameters=told)
    types = frozenset(codecs.names())
    is_input = model.octets.is_input
    named = {spec.name for spec in (*metadata.inputs, *(metadata.stream_inputs or ()))}
    return ModelDescription(
        metadata=metadata,
        concurrency=answering.execution.concurrency,
        takes_batches=answering.takes_batches,
        content_types=tuple(sorted(types)),
        for_one=frozenset(each for each in types if codecs.is_for_one(each)),
        binary=frozenset(each for each in types if codecs.is_binary(each)),
        binary_inputs=frozenset(name for name in named if is_input(name, {}, None)),
        binary_by_default=is_input(_ANY, {}, None),
        own_codecs=own,
    )


def octets_of(described: ModelDescription) -> Octets:
    """Return what tells a face which tensors are base64 in JSON."""

    def is_input(name: str, parameters: Parameters, of_request: Parameters | None) -> bool:
        for said in (parameters, of_request):
            content_type = said.get("content_type") if said else None
            if content_type is not None and (said is parameters or _in(content_type, described.for_one)):
                return _in(content_type, described.binary)
        return described.binary_by_default or name in described.binary_inputs

    is_output: Callable[[object], bool] = lambda content_type: _in(content_type, described.binary)  # noqa: E731
    return Octets(is_input, is_output)


def _in(content_type: Any, among: frozenset[str]) -> bool:
    return isinstance(content_type, str) and content_type in among
