"""Examples of requests: what the form of a model begins with."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

from srv.hookspecs import Model
from srv.messages import ModelMetadata
from srv.model_settings import Spec
from srv_docs.samples import sample_of

log = logging.getLogger(__name__)

#: A request beside the settings of a model, as `srv init` writes one.
REQUEST_FILE = "request.json"
#: What is larger is no example that somebody edits.
LARGEST = 2**20
LARGEST_TENSOR = 200_000
#: Lengths for dimensions of any length: the first one, the second of two, and those of pictures and their like.
_FIRST, _COLUMNS, _SIDE = 1, 4, 32


class Examples:
    """Where the examples of loaded models are found: warm-up requests and files. Safe to use from any thread."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str | None], tuple[str, Mapping[str, Any]] | None] = {}

    def add(self, model: Model) -> None:
        """Keep the example of a model that was loaded: what it was warmed up with, or the request in its folder."""
        settings = model.settings
        found: tuple[str, Mapping[str, Any]] | None = None
        if settings.warmup:
            found = "warmup", settings.warmup[0]
        else:
            request = _in_file(settings.folder / REQUEST_FILE)
            if request is not None:
                found = REQUEST_FILE, request
        self._found[model.name, model.version] = found

    def of(self, metadata: ModelMetadata, version: str | None) -> dict[str, Any]:
        """Return an example for `/infer`, one for `/infer_stream` where that takes other inputs, and where they are from."""
        name, version = metadata.name, version or (metadata.versions[-1] if metadata.versions else None)
        kept = self._found.get((name, version)) or self._found.get((name, None))
        inputs = _inputs(metadata)
        known = (each for each in (kept, _of_runtime(metadata)) if each is not None)
        fitting = (each for each in known if _fits(each[1], inputs, any_name=metadata.any_input_name))
        origin, request = next(fitting, ("declared", _made(inputs, metadata.choices)))
        of_stream = metadata.stream_inputs if metadata.answers and metadata.stream_inputs != metadata.inputs else None
        return {
            "from": origin,
            "request": request,
            "inputs": [_as_json(spec) for spec in inputs],
            "stream_inputs": None if of_stream is None else [_as_json(spec) for spec in of_stream],
            "stream_request": None if of_stream is None else _made(of_stream, metadata.choices),
        }


def _inputs(metadata: ModelMetadata) -> Sequence[Spec]:
    """Return the inputs that the metadata tells, and those that must come and of which nothing is known but the name."""
    told = metadata.inputs if metadata.answers or metadata.stream_inputs is None else metadata.stream_inputs
    names = {spec.name for spec in told}
    if metadata.any_input_name and told:
        return told
    return (*told, *(Spec(name=name) for name in metadata.required if name not in names))


def _in_file(path: Path) -> Mapping[str, Any] | None:
    """Return the request in a file, or None where there is none that could be one."""
    try:
        if path.stat().st_size > LARGEST:
            return None
        request = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        log.info("%s of model '%s' is no example for its page: %s.", REQUEST_FILE, path.parent.name, error)
        return None
    return request if isinstance(request, dict) else None


def _of_runtime(metadata: ModelMetadata) -> tuple[str, Mapping[str, Any]] | None:
    """Return the example that the runtime has, or None where it has none that becomes a request."""
    if metadata.example is None:
        return None
    from srv.client.bodies import as_json  # here, because few runtimes have an example
    from srv.client.inputs import request_of

    try:
        body = as_json(request_of(metadata.example, metadata))
    except Exception as error:  # noqa: BLE001  a runtime may give anything
        log.info("The example of model '%s' is no request for its page: %s.", metadata.name, error)
        return None
    return ("runtime", json.loads(body)) if len(body) <= LARGEST else None


def _fits(request: Mapping[str, Any], inputs: Sequence[Spec], *, any_name: bool) -> bool:
    """Return whether a form can show a request: inputs in JSON that the model declares."""
    given = request.get("inputs")
    if not isinstance(given, list) or not all(
        isinstance(each, dict) and isinstance(each.get("name"), str) and isinstance(each.get("data"), list)
        for each in given
    ):
        return False
    declared = {spec.name for spec in inputs}
    return not declared or (any_name and len(given) == 1) or {each["name"] for each in given} <= declared


def _made(inputs: Iterable[Spec], choices: Mapping[str, tuple[Any, ...]]) -> dict[str, Any]:
    """Return a request of made-up values for declared inputs; `data` is missing where a tensor would be too large."""
    return {"inputs": [_tensor(spec, choices.get(spec.name, ())) for spec in inputs]}


def _tensor(spec: Spec, choices: Sequence[Any]) -> dict[str, Any]:
    datatype = spec.datatype or ("FP64" if spec.parameters.get("content_type") in (None, "np") else "BYTES")
    shape = _shape(spec.shape)
    size = prod(shape)
    tensor: dict[str, Any] = {"name": spec.name, "datatype": datatype, "shape": shape}
    if choices and isinstance(choices[0], str | int):
        tensor["data"] = [choices[0]] * size
    elif size <= LARGEST_TENSOR:
        tensor["data"] = sample_of(spec.name, datatype, spec.parameters.get("content_type"), size)
    return tensor


def _shape(declared: tuple[int, ...] | None) -> list[int]:
    if declared is None:
        return [_FIRST]
    other = _COLUMNS if len(declared) == 2 else _SIDE
    return [length if length >= 0 else (other if place else _FIRST) for place, length in enumerate(declared)]


def _as_json(spec: Spec) -> dict[str, Any]:
    """Return a declared input as the form reads it; unlike in the model's metadata, null is any shape."""
    return {
        "name": spec.name,
        "datatype": spec.datatype,
        "shape": spec.shape,
        "content_type": spec.parameters.get("content_type"),
    }
