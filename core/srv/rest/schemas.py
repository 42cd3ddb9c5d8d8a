"""JSON schemas of what travels over REST, the protocol's own and those of a model's tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from srv.modelsettings import DATATYPES, Spec

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_SHAPE: Schema = {"type": "array", "items": {"type": "integer", "minimum": 0}}
#: Examples with more elements than this are left out.
_LARGE = 64


def ref(name: str) -> Schema:
    """One of the document's own schemas."""
    return {"$ref": f"#/components/schemas/{name}"}


def _object(required: Sequence[str], **properties: Schema) -> Schema:
    return {"type": "object", **({"required": [*required]} if required else {}), "properties": properties}


def _list(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


COMPONENTS: Mapping[str, Schema] = {
    "Error": _object(("error", "code"), error=_TEXT, code=_TEXT),
    "Parameters": {
        "type": "object",
        "additionalProperties": {"oneOf": [_TEXT, {"type": "number"}, {"type": "boolean"}]},
    },
    "Tensor": _object(
        ("name", "shape", "datatype"),
        name=_TEXT,
        shape=_SHAPE,
        datatype={"type": "string", "enum": [*DATATYPES]},
        parameters=ref("Parameters"),
        data=_list({}, description="Flat in row-major order, or nested; missing where the tensor is binary data."),
    ),
    "RequestedOutput": _object(("name",), name=_TEXT, parameters=ref("Parameters")),
    "InferenceRequest": _object(
        ("inputs",),
        id=_TEXT,
        parameters=ref("Parameters"),
        inputs=_list(ref("Tensor")),
        outputs=_list(ref("RequestedOutput")),
    ),
    "InferenceResponse": _object(
        ("model_name", "outputs"),
        model_name=_TEXT,
        model_version=_TEXT,
        id=_TEXT,
        parameters=ref("Parameters"),
        outputs=_list(ref("Tensor")),
    ),
    "GenerateRequest": _object(("text_input",), text_input=_TEXT, id=_TEXT, parameters=ref("Parameters")),
    "GenerateResponse": _object(
        ("model_name", "text_output"), model_name=_TEXT, model_version=_TEXT, id=_TEXT, text_output=_TEXT
    ),
    "IndexRequest": _object((), ready={"type": "boolean", "default": False}),
    "ControlRequest": _object((), parameters=ref("Parameters")),
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
        own["data"] = _list({"anyOf": [_scalar(spec.datatype), _list({})]})
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
        return {"type": "boolean"}
    if datatype == "BYTES":
        return _TEXT
    if datatype.startswith(("FP", "BF")):
        return {"type": "number", "nullable": True}
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
