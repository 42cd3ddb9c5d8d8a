"""JSON schemas of what travels over REST, the protocol's own and those of a model's tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from srv.modelsettings import DATATYPES, Spec
from srv.registry import ModelState

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_FLOAT: Schema = {"type": "number", "nullable": True}  # null is NaN
_BOOLEAN: Schema = {"type": "boolean"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_SHAPE: Schema = {"type": "array", "items": _COUNT}
#: Examples with more elements than this are left out.
_LARGE = 64


def ref(name: str) -> Schema:
    """One of the document's own schemas."""
    return {"$ref": f"#/components/schemas/{name}"}


def _object(required: Sequence[str], **properties: Schema) -> Schema:
    return {"type": "object", **({"required": [*required]} if required else {}), "properties": properties}


def _list(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


def _or_null(schema: Schema) -> Schema:
    """The same, or null for what is not given, as some clients write it."""
    return {**schema, "nullable": True}


def _data(values: Schema, bare: Sequence[Schema]) -> Schema:
    """A tensor's data: a list, or one of these values where the tensor may be a scalar."""
    data = {"anyOf": [_list(values), *bare]} if bare else _list(values)
    return {
        **data,
        "description": "Flat in row-major order, or nested as the shape says; a scalar's may be the bare value. "
        "Missing where the tensor is binary data.",
    }


COMPONENTS: Mapping[str, Schema] = {
    "Error": _object(("error", "code"), error=_TEXT, code=_TEXT),
    "Parameters": {
        "type": "object",
        "nullable": True,
        "additionalProperties": {"oneOf": [_TEXT, {"type": "number"}, {"type": "boolean"}]},
    },
    "Tensor": _object(
        ("name", "shape", "datatype"),
        name=_TEXT,
        shape=_SHAPE,
        datatype={"type": "string", "enum": [*DATATYPES]},
        parameters=ref("Parameters"),
        data=_data({}, [_FLOAT, _TEXT, _BOOLEAN]),
    ),
    "RequestedOutput": _object(("name",), name=_TEXT, parameters=ref("Parameters")),
    "InferenceRequest": _object(
        ("inputs",),
        id=_or_null(_TEXT),
        parameters=ref("Parameters"),
        inputs=_list(ref("Tensor")),
        outputs=_or_null(_list(ref("RequestedOutput"))),
    ),
    "InferenceResponse": _object(
        ("model_name", "outputs"),
        model_name=_TEXT,
        model_version=_TEXT,
        id=_TEXT,
        parameters=ref("Parameters"),
        outputs=_list(ref("Tensor")),
    ),
    "GenerateRequest": _object(("text_input",), text_input=_TEXT, id=_or_null(_TEXT), parameters=ref("Parameters")),
    "GenerateResponse": _object(
        ("model_name", "text_output"), model_name=_TEXT, model_version=_TEXT, id=_TEXT, text_output=_TEXT
    ),
    "Live": _object(("live",), live=_BOOLEAN),
    "Ready": _object(("ready",), ready=_BOOLEAN),
    "Root": _object(("name", "version", "health"), name=_TEXT, version=_TEXT, health=_TEXT),
    "ServerMetadata": _object(("name", "version", "extensions"), name=_TEXT, version=_TEXT, extensions=_list(_TEXT)),
    "Models": _object(("models",), models=_list(_TEXT)),
    "TensorMetadata": _object(
        ("name", "datatype", "shape"),
        name=_TEXT,
        datatype=_TEXT,
        shape=_list({"type": "integer", "minimum": -1}, description="-1 is any length"),
        parameters={"type": "object"},
    ),
    "ModelMetadata": _object(
        ("name", "versions", "platform", "inputs", "outputs"),
        name=_TEXT,
        versions=_list(_TEXT),
        platform=_TEXT,
        inputs=_list(ref("TensorMetadata")),
        outputs=_list(ref("TensorMetadata")),
        parameters={"type": "object"},
    ),
    "ModelReady": _object(("name", "ready"), name=_TEXT, ready=_BOOLEAN),
    "ModelConfig": _object(
        ("name", "platform", "backend", "max_batch_size", "input", "output"),
        name=_TEXT,
        platform=_TEXT,
        backend=_TEXT,
        max_batch_size=_COUNT,
        input=_list({"type": "object"}),
        output=_list({"type": "object"}),
        parameters={"type": "object"},
    ),
    "Statistics": _object(
        ("model_stats",),
        model_stats=_list(
            _object(
                ("name", "inference_count", "execution_count", "inference_stats", "batch_stats"),
                name=_TEXT,
                version=_TEXT,
                last_inference=_COUNT,
                inference_count=_COUNT,
                execution_count=_COUNT,
                inference_stats={"type": "object"},
                batch_stats=_list({"type": "object"}),
            )
        ),
    ),
    "Index": _list(
        _object(
            ("name", "state", "reason"),
            name=_TEXT,
            version=_TEXT,
            state={"type": "string", "enum": [*ModelState]},
            reason=_TEXT,
        )
    ),
    "IndexRequest": _object((), ready={**_BOOLEAN, "default": False}),
    "Done": _object(()),
    "ControlRequest": _object((), parameters=_or_null({"type": "object"})),
}


def of_model(specs: Sequence[Spec], general: str, field: str) -> Schema:
    """A request or a response of one model: the general one, with the model's own tensors where it declares any."""
    schema = COMPONENTS[general]
    if not specs:
        return schema
    tensors = [_tensor(spec) for spec in specs]
    named = tensors[0] if len(tensors) == 1 else {"anyOf": tensors}
    return {**schema, "properties": {**schema["properties"], field: _list(named)}}


def _tensor(spec: Spec) -> Schema:
    general = COMPONENTS["Tensor"]
    own: Schema = {"name": {"type": "string", "enum": [spec.name]}}
    if spec.datatype is not None:
        own["datatype"] = {"type": "string", "enum": [spec.datatype]}
        scalar = _scalar(spec.datatype)
        own["data"] = _data({"anyOf": [scalar, _list({})]}, [] if spec.shape else [scalar])
    if spec.shape is not None:
        rank = len(spec.shape)
        own["shape"] = {
            **_SHAPE,
            "minItems": rank,
            "maxItems": rank,
            "description": f"{[*spec.shape]}, -1 is any length",
        }
    schema = {**general, "properties": {**general["properties"], **own}}
    example = _example(spec)
    return {**schema, "example": example} if example is not None else schema


def _scalar(datatype: str) -> Schema:
    if datatype == "BOOL":
        return _BOOLEAN
    if datatype == "BYTES":
        return _TEXT
    if datatype.startswith(("FP", "BF")):
        return _FLOAT
    bits = int(datatype.removeprefix("U").removeprefix("INT"))
    if datatype.startswith("U"):
        return {"type": "integer", "minimum": 0, "maximum": 2**bits - 1}
    return {"type": "integer", "minimum": -(2 ** (bits - 1)), "maximum": 2 ** (bits - 1) - 1}


def _example(spec: Spec) -> Schema | None:
    if spec.datatype is None or spec.datatype == "BF16" or spec.shape is None:
        return None
    shape = [max(length, 1) if length == -1 else length for length in spec.shape]
    if prod(shape) > _LARGE:
        return None
    value: Any = {"BOOL": True, "BYTES": "text"}.get(spec.datatype, 1)
    return {"name": spec.name, "shape": shape, "datatype": spec.datatype, "data": [value] * prod(shape)}
