"""The OpenAPI document of the REST face: from the app's routes and the metadata of its models."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from srv.messages import ModelMetadata, ModelRoute, ServerMetadata
from srv.rest.generate import INPUT
from srv.rest.schemas import COMPONENTS, Schema, ref, request_of, response_of, stream_request_of

#: A route of the app: its template, and what answers.
Route = tuple[str, object]

_METHODS = ("get", "put", "post", "delete", "patch")
_FIELD = re.compile(r"\{(\w+)[^{}]*\}")
_MODEL, _VERSION = "/v2/models/{model}", "/versions/{version}"
_EVENTS, _JSON = "text/event-stream", "application/json"
_ERROR: Mapping[str, Any] = {"description": "What went wrong.", "content": {_JSON: {"schema": ref("Error")}}}

#: Events as OpenAPI 3.0 can describe them: it has no schema for what stands in one of them.
_AS_EVENTS: Mapping[str, Any] = {_EVENTS: {"schema": {"type": "string"}}}
#: Said beside the JSON of infer. The binary form is not described as content, because generated clients would take every
#: answer for either form.
_BINARY = "Tensors may also travel as binary data behind the JSON, in both directions, which OpenAPI has no form for."

#: What the routes of srv's own tell, by the class that answers; plugins' routes say nothing of it.
_TELLS: Mapping[str, str] = {
    "Root": "Root",
    "Live": "Live",
    "Ready": "Ready",
    "ServerResource": "ServerMetadata",
    "ModelList": "Models",
    "ModelPage": "ModelMetadata",
    "ModelReady": "ModelReady",
    "ModelConfig": "ModelConfig",
    "Statistics": "Statistics",
    "Index": "Index",
    "Control": "Done",
}
#: What the others take and give, by the end of their path.
_TAKES: Mapping[str, str] = {
    "/infer": "InferenceRequest",
    "/infer_stream": "InferenceRequest",
    "/generate": "GenerateRequest",
    "/generate_stream": "GenerateRequest",
    "/repository/index": "IndexRequest",
    "/load": "ControlRequest",
    "/unload": "ControlRequest",
}
_GIVES: Mapping[str, str] = {
    "/infer": "InferenceResponse",
    "/infer_stream": "InferenceResponse",
    "/generate": "GenerateResponse",
    "/generate_stream": "GenerateResponse",
}


class _Names:
    """The names given so far. Generators cannot tell apart those that differ in case and punctuation only."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {_folded(name) for name in taken}

    def take(self, name: str, separator: str = "") -> str:
        """Return the name, with a number behind it if it is taken."""
        free, count = name, 1
        while _folded(free) in self._taken:
            count += 1
            free = f"{name}{separator}{count}"
        self._taken.add(_folded(free))
        return free


def _folded(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def document(
    server: ServerMetadata, routes: Iterable[Route], models: Iterable[ModelMetadata], *, root_path: str = ""
) -> dict[str, Any]:
    """Return the document of every route; those of inference stand in it once more for each model."""
    routes = [*routes]
    endings = _Names([""])
    made = _begun(f"{server.name}: the Open Inference Protocol", server.version, root_path)
    for path, resource in routes:
        _add(made, path, resource)
    for metadata in models:
        place = _MODEL.replace("{model}", metadata.name)
        _add_model(made, endings, metadata, _of_models(routes, None), place, only=_TAKES)
    return _name_operations(made)


def model_document(
    server: ServerMetadata,
    routes: Iterable[Route],
    metadata: ModelMetadata,
    version: str | None,
    *,
    root_path: str = "",
) -> dict[str, Any]:
    """Return the document of one model's routes, with the tensors of that version or the default one."""
    made = _begun(f"{metadata.name} on {server.name}", version or server.version, root_path)
    place = _MODEL.replace("{model}", metadata.name) + ("" if version is None else f"/versions/{version}")
    _add_model(made, _Names([""]), metadata, _of_models(routes, version), place)
    return _name_operations(made)


def _begun(title: str, version: str, root_path: str) -> dict[str, Any]:
    return {
        "openapi": "3.0.3",
        "info": {"title": title, "version": version},
        "servers": [{"url": root_path or "/"}],
        "security": [],
        "paths": {},
        "components": {"schemas": {**COMPONENTS}},
    }


def _of_models(routes: Iterable[Route], version: str | None) -> list[Route]:
    """Return the routes below a model, by the part of the path behind its name and version."""
    before = _MODEL if version is None else _MODEL + _VERSION
    below = [(path.removeprefix(before), resource) for path, resource in routes if path.startswith(before)]
    return [(end, resource) for end, resource in below if "{" not in end]


def _add_model(
    made: dict[str, Any],
    endings: _Names,
    metadata: ModelMetadata,
    ends: Sequence[Route],
    place: str,
    *,
    only: Mapping[str, str] | None = None,
) -> None:
    schemas: dict[str, Schema] = made["components"]["schemas"]
    ending = endings.take(_in_capitals(metadata.name))
    request, response = f"InferenceRequest{ending}", f"InferenceResponse{ending}"
    schemas |= {request: request_of(metadata), response: response_of(metadata)}
    own = {"InferenceRequest": request, "InferenceResponse": response}
    streamed = stream_request_of(metadata)
    of_stream = own if metadata.stream_inputs is None else {"InferenceRequest": request}
    if streamed is not None:
        of_stream = {"InferenceRequest": f"StreamRequest{ending}"}
        schemas[of_stream["InferenceRequest"]] = streamed
    for end, resource in ends:
        if (only is None or end in only) and _has(metadata, end):
            _add(made, place + end, resource, tag=metadata.name, own=of_stream if "stream" in end else own)
    for route in metadata.routes:
        _add_model_route(made, metadata.name, route, route.path_below(place))


def _in_capitals(model: str) -> str:
    """Return a model's name as part of a schema's name, without punctuation."""
    return "".join(word[:1].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", model))


def _has(metadata: ModelMetadata, end: str) -> bool:
    """Return whether a model answers at one of the paths below every model."""
    if end not in _GIVES:
        return True
    streams = end.endswith("_stream")
    if not (metadata.streams if streams else metadata.answers):
        return False
    inputs = metadata.stream_inputs if streams and metadata.stream_inputs is not None else metadata.inputs
    any_name = metadata.any_input_name
    takes_text = any(spec.datatype in (None, "BYTES") and (any_name or spec.name == INPUT) for spec in inputs)
    return takes_text or not inputs or not end.startswith("/generate")


def _add(
    made: dict[str, Any],
    template: str,
    resource: object,
    *,
    tag: str | None = None,
    own: Mapping[str, str] | None = None,
) -> None:
    """Add one route: each method that its resource has."""
    path = _FIELD.sub(r"{\1}", template)
    item: dict[str, Any] = {}
    for method in _METHODS:
        answers = getattr(resource, f"on_{method}", None)
        if answers is not None:
            item[method] = _operation(method, path, resource, answers, own or {})
            if tag is not None:
                item[method]["tags"] = [tag]
    item |= _path_fields(template)
    made["paths"][path] = item


def _add_model_route(made: dict[str, Any], model: str, route: ModelRoute, template: str) -> None:
    """Add a route of a model's runtime, of whose bodies nothing is known but the method's docstring."""
    path = _FIELD.sub(r"{\1}", template)
    item = made["paths"].setdefault(path, {**_path_fields(template)})
    operation: dict[str, Any] = {
        "summary": route.summary or f"A route of the model {model}.",
        "tags": [model],
        "responses": {
            "200": {"description": "The answer.", "content": _AS_EVENTS if route.streams else {"*/*": {}}},
            "default": _ERROR,
        },
    }
    if route.description != route.summary:
        operation["description"] = route.description
    if route.method in ("POST", "PUT", "PATCH"):
        operation["requestBody"] = {"content": {"*/*": {}}}
    item[route.method.lower()] = operation


def _path_fields(template: str) -> dict[str, Any]:
    """Return what describes the fields of a path, if it has some."""
    fields = _FIELD.findall(template)
    described = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in fields]
    return {"parameters": described} if fields else {}


def _name_operations(made: dict[str, Any]) -> dict[str, Any]:
    """Name each operation for generated code; paths that differ in case and punctuation only get different names."""
    names = _Names()
    for path, item in made["paths"].items():
        for method in _METHODS:
            if method in item:
                plain = re.sub(r"\W+", "_", f"{method}{path}").strip("_")
                item[method]["operationId"] = names.take(plain, "_")
    return made


def _operation(method: str, path: str, resource: object, answers: object, own: Mapping[str, str]) -> dict[str, Any]:
    ours = type(resource).__module__.startswith("srv.")
    end = next((end for end in (*_TAKES, *_GIVES) if path.endswith(end)), "") if ours and method == "post" else ""
    good: dict[str, Any] = {"description": _first_line(answers) or "The answer."}
    if end in _GIVES:
        given = own.get(_GIVES[end], _GIVES[end])
        as_infer = own.get("InferenceResponse", "InferenceResponse")
        if "stream" in end:  # of events OpenAPI 3.0 can say no more than this
            good["description"] += f" Each event's data is an object like {given}, or Error."
            good["content"] = _AS_EVENTS
        else:
            both = {"anyOf": [ref(given), ref(as_infer)]} if end == "/generate" else ref(given)
            good["content"] = {_JSON: {"schema": both}}
    elif ours:
        told = _TELLS.get(type(resource).__name__)
        good["content"] = {_JSON: {"schema": {"type": "object"} if told is None else ref(told)}}
    operation: dict[str, Any] = {
        "summary": _first_line(type(resource)),
        "responses": {
            "200": good,
            "default": _ERROR,
        },
    }
    if end == "/infer":
        operation["description"] = _BINARY
    if end in _TAKES:
        schema = ref(own.get(_TAKES[end], _TAKES[end]))
        if _TAKES[end] == "GenerateRequest":  # a body with inputs is one of infer
            schema = {"anyOf": [schema, ref(own.get("InferenceRequest", "InferenceRequest"))]}
        needed = end not in ("/repository/index", "/load", "/unload")
        operation["requestBody"] = {"required": needed, "content": {_JSON: {"schema": schema}}}
    return operation


def _first_line(described: object) -> str:
    return (inspect.getdoc(described) or "").partition("\n")[0]
