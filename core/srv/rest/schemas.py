"""JSON schemas of requests and responses: the protocol's own, and those of a model's tensors."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import prod
from typing import Any

from srv.datatypes import DATATYPES
from srv.messages import ModelMetadata
from srv.model_settings import Spec
from srv.models.registry import ModelState

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_TEXT_OR_NULL: Schema = {"type": "string", "nullable": True}  # null is a missing value
_FLOAT: Schema = {"type": "number", "nullable": True}  # null is NaN
_INTEGER: Schema = {"type": "integer"}  # beside numbers, because generated code may make floats of these
_BOOLEAN: Schema = {"type": "boolean"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_SHAPE: Schema = {"type": "array", "items": _COUNT}
#: Examples with more elements than this are left out.
_LARGE = 64


def ref(name: str) -> Schema:
    """Return a reference to one of the document's schemas."""
    return {"$ref": f"#/components/schemas/{name}"}


def _object(required: Sequence[str], **properties: Schema) -> Schema:
    return {"type": "object", **({"required": [*required]} if required else {}), "properties": properties}


def _list(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


def _or_null(schema: Schema) -> Schema:
    """Return a schema that also takes null, which some clients write for what they leave out."""
    return {**schema, "nullable": True}


def _data(values: Schema, bare: Sequence[Schema]) -> Schema:
    """Return the schema of a tensor's data: a list, or one value where the tensor may be a scalar."""
    data = {"anyOf": [_list(values), *bare]} if bare else _list(values)
    return {
        **data,
        "description": "Flat in row-major order, or nested as the shape says; a scalar's may be the bare value. "
        "Missing where the tensor is binary data.",
    }


def _input_data(data: Schema) -> Schema:
    """Return the schema of an input's data, which may be null where the tensor is binary data or has no elements."""
    if "anyOf" not in data:
        return _or_null(data)
    values, *bare = data["anyOf"]
    return {**data, "anyOf": [_or_null(values), *bare]}


_TENSOR = _object(
    ("name", "shape", "datatype"),
    name=_TEXT,
    shape=_SHAPE,
    datatype={"type": "string", "enum": [*DATATYPES]},
    parameters=ref("Parameters"),
    data=_data({}, [_INTEGER, _FLOAT, _TEXT, _BOOLEAN]),
)
COMPONENTS: Mapping[str, Schema] = {
    "Error": _object(("error", "code"), error=_TEXT, code=_TEXT),
    "Parameters": {
        "type": "object",
        "nullable": True,
        "additionalProperties": {"anyOf": [_TEXT_OR_NULL, _INTEGER, {"type": "number"}, _BOOLEAN]},
    },
    "NestedParameters": {"type": "object", "nullable": True, "additionalProperties": {}},
    "Tensor": _TENSOR,
    "InputTensor": {
        **_TENSOR,
        "properties": {**_TENSOR["properties"], "data": _input_data(_TENSOR["properties"]["data"])},
    },
    "RequestedOutput": _object(("name",), name=_TEXT, parameters=ref("Parameters")),
    "InferenceRequest": _object(
        ("inputs",),
        id=_or_null(_TEXT),
        parameters=ref("Parameters"),
        inputs=_list(ref("InputTensor")),
        outputs={**_or_null(_list(ref("RequestedOutput"))), "description": "None, or an empty list, is all of them."},
    ),
    "InferenceResponse": _object(
        ("model_name", "model_version", "outputs"),
        model_name=_TEXT,
        model_version=_TEXT,
        id=_TEXT,
        parameters=ref("Parameters"),
        outputs=_list(ref("Tensor")),
    ),
    "GenerateRequest": {
        **_object(("text_input",), text_input=_TEXT, id=_or_null(_TEXT), parameters=ref("Parameters")),
        "additionalProperties": {},
        "description": "What stands beside these are parameters too, or inputs that the model declares.",
    },
    "GenerateResponse": _object(
        ("model_name", "model_version", "text_output"),
        model_name=_TEXT,
        model_version=_TEXT,
        id=_TEXT,
        text_output=_TEXT,
    ),
    "Live": _object(("live",), live=_BOOLEAN),
    "Ready": _object(("ready",), ready=_BOOLEAN),
    "Root": _object(("name", "version", "health"), name=_TEXT, version=_TEXT, health=_TEXT, docs=_TEXT),
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
                ("name", "version", "inference_count", "execution_count", "inference_stats", "batch_stats"),
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
            ("name", "version", "state", "reason"),
            name=_TEXT,
            version=_TEXT,
            state={"type": "string", "enum": [*ModelState]},
            reason=_TEXT,
        )
    ),
    "IndexRequest": {**_object((), ready={**_BOOLEAN, "nullable": True, "default": False}), "nullable": True},
    "Done": _object(()),
    "ControlRequest": {**_object((), parameters=ref("NestedParameters")), "nullable": True},
}


def stream_request_of(metadata: ModelMetadata) -> Schema | None:
    """Return the schema of a request for a stream, or None where predict_stream takes the inputs of predict."""
    inputs = metadata.stream_inputs
    return None if inputs is None or inputs == metadata.inputs else _request(metadata, inputs)


def request_of(metadata: ModelMetadata) -> Schema:
    """Return the schema of a request to one model: the general one with the model's inputs and parameters."""
    return _request(metadata, metadata.inputs)


def _request(metadata: ModelMetadata, inputs: Sequence[Spec]) -> Schema:
    schema = COMPONENTS["InferenceRequest"]
    parameters = ref("NestedParameters" if metadata.nested_parameters else "Parameters")
    tensors = [_input(spec, metadata, parameters) for spec in inputs]
    own: Schema = {"parameters": parameters}
    if metadata.nested_parameters:
        own["outputs"] = {
            **schema["properties"]["outputs"],
            "items": _with_parameters(COMPONENTS["RequestedOutput"], parameters),
        }
        own["inputs"] = _list(_with_parameters(COMPONENTS["InputTensor"], parameters))
    if tensors:
        own["inputs"] = _list(tensors[0] if len(tensors) == 1 else {"anyOf": tensors})
    return {**schema, "properties": {**schema["properties"], **own}}


def response_of(metadata: ModelMetadata) -> Schema:
    """Return the schema of a response of one model: the general one, with the outputs that the model declares."""
    schema = COMPONENTS["InferenceResponse"]
    if not metadata.outputs:
        return schema
    tensors = [_tensor(spec, metadata.base64) for spec in metadata.outputs]
    named = tensors[0] if len(tensors) == 1 else {"anyOf": tensors}
    return {**schema, "properties": {**schema["properties"], "outputs": _list(named)}}


def _with_parameters(schema: Schema, parameters: Schema) -> Schema:
    return {**schema, "properties": {**schema["properties"], "parameters": parameters}}


def _input(spec: Spec, metadata: ModelMetadata, parameters: Schema) -> Schema:
    schema = _tensor(spec, metadata.base64, null=metadata.missing_values)
    schema = _with_parameters(schema, parameters)
    schema["properties"]["data"] = _input_data(schema["properties"]["data"])
    if metadata.any_input_name:
        schema["properties"]["name"] = {**_TEXT, "description": f"{spec.name}, or any other"}
    return schema


def _tensor(spec: Spec, base64: Collection[str], *, null: bool = False) -> Schema:
    """Return the schema of one tensor; `base64` are content types in base64, `null` says that text may be null."""
    general = COMPONENTS["Tensor"]
    content_type = spec.parameters.get("content_type")
    is_base64 = content_type in base64
    text = {**(_TEXT_OR_NULL if null else _TEXT), **({"format": "byte"} if is_base64 else {})}
    own: Schema = {"name": {"type": "string", "enum": [spec.name]}}
    if spec.datatype is not None:
        own["datatype"] = {"type": "string", "enum": [spec.datatype]}
        scalar = text if spec.datatype == "BYTES" else _scalar(spec.datatype)
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
    if content_type is not None:
        in_json = "; each element is base64 in JSON" if is_base64 else ""
        schema["description"] = f"Of content type '{content_type}'{in_json}."
    example = _example(spec, "dGV4dA==" if is_base64 else "text")
    return {**schema, "example": example} if example is not None else schema


def _scalar(datatype: str) -> Schema:
    if datatype == "BOOL":
        return _BOOLEAN
    if datatype.startswith(("FP", "BF")):
        return _FLOAT
    bits = int(datatype.removeprefix("U").removeprefix("INT"))
    if datatype.startswith("U"):
        return {"type": "integer", "minimum": 0, "maximum": 2**bits - 1}
    return {"type": "integer", "minimum": -(2 ** (bits - 1)), "maximum": 2 ** (bits - 1) - 1}


def _example(spec: Spec, text: str) -> Schema | None:
    if spec.datatype is None or spec.datatype == "BF16" or spec.shape is None:
        return None
    shape = [max(length, 1) if length == -1 else length for length in spec.shape]
    if prod(shape) > _LARGE:
        return None
    value: Any = {"BOOL": True, "BYTES": text}.get(spec.datatype, 1)
    return {"name": spec.name, "shape": shape, "datatype": spec.datatype, "data": [value] * prod(shape)}
