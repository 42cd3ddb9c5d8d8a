"""Asking a server, real or in process: what a test says in Python goes out as the protocol has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import orjson

from srv.messages import InferenceRequest, RequestedOutput
from srv.rawdata import write_raw
from srv.rest.binary import HEADER, SIZE
from srv.tensors import EMPTY, Parameters, Tensor
from srv.testing.answers import Answer

#: A request as tests write it: values by the names of the inputs (arrays, lists, tensors), tensors, or the whole.
Asked: TypeAlias = Mapping[str, Any] | Sequence[Tensor] | InferenceRequest


class NotInJson(ValueError):
    """A tensor holds what JSON cannot say, so the client cannot send it so."""


class Asker:
    """Asks one server. Each method gives the answer, a bad one too; nothing is raised for it."""

    def request(
        self, method: str, path: str, body: bytes | None = None, *, headers: Mapping[str, str] = EMPTY
    ) -> Answer:
        """One request as it stands."""
        raise NotImplementedError

    @property
    def grpc_address(self) -> str:
        """Where the server's other face is, as `host:port`."""
        raise NotImplementedError

    def get(self, path: str, *, headers: Mapping[str, str] = EMPTY) -> Answer:
        """A GET."""
        return self.request("GET", path, headers=headers)

    def post(self, path: str, document: Any = None, *, headers: Mapping[str, str] = EMPTY) -> Answer:
        """A POST with a body of JSON; bytes are sent as they stand."""
        body = document if isinstance(document, bytes) else orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
        return self.request("POST", path, body, headers={"Content-Type": "application/json", **headers})

    def infer(
        self,
        model: str,
        inputs: Asked,
        *,
        version: str | None = None,
        outputs: Iterable[RequestedOutput | str] | None = None,
        parameters: Parameters = EMPTY,
        id: str | None = None,
        headers: Mapping[str, str] = EMPTY,
    ) -> Answer:
        """Ask for inference; ``answer["y"]`` is an output's array, ``answer.response`` the whole response.

        Raises NotInJson for what JSON cannot say: BYTES that are not UTF-8, infinity, BF16.
        """
        request = as_request(inputs, outputs=outputs, parameters=parameters, id=id)
        return self.post(path_of(model, version) + "/infer", as_json(request), headers=headers)

    def metadata(self, model: str, version: str | None = None) -> Answer:
        """What the model says of itself."""
        return self.get(path_of(model, version))


def path_of(model: str, version: str | None = None) -> str:
    """Where a model stands in the protocol's paths."""
    return f"/v2/models/{model}" + ("" if version is None else f"/versions/{version}")


def as_request(
    asked: Asked,
    *,
    outputs: Iterable[RequestedOutput | str] | None = None,
    parameters: Parameters = EMPTY,
    id: str | None = None,
) -> InferenceRequest:
    """The inference request that a test means; one that is given whole stays as it is."""
    if isinstance(asked, InferenceRequest):
        return asked
    tensors = [_named(name, value) for name, value in asked.items()] if isinstance(asked, Mapping) else list(asked)
    return InferenceRequest(tensors, id, outputs, parameters)


def as_json(request: InferenceRequest) -> bytes:
    """The body that a client sends. Raises NotInJson where JSON cannot say it."""
    return _document(request, [{**_head(tensor), "data": _data(tensor)} for tensor in request.inputs])


def as_binary(request: InferenceRequest) -> tuple[bytes, dict[str, str]]:
    """The body with all tensors as binary data that asks for such outputs too, and the headers that say so."""
    inputs, behind = [], []
    for tensor in request.inputs:
        data = bytes(write_raw(tensor))
        inputs.append({**_head(tensor), "parameters": {**tensor.parameters, SIZE: len(data)}})
        behind.append(data)
    head = _document(request, inputs, binary_data_output=True)
    headers = {HEADER: str(len(head)), "Content-Type": "application/octet-stream"}
    return b"".join([head, *behind]), headers


def _document(request: InferenceRequest, inputs: list[dict[str, Any]], **parameters: Any) -> bytes:
    document: dict[str, Any] = {"inputs": inputs}
    if request.id is not None:
        document["id"] = request.id
    if request.parameters or parameters:
        document["parameters"] = {**request.parameters, **parameters}
    if request.outputs is not None:
        document["outputs"] = [
            {"name": output.name, "parameters": dict(output.parameters)} for output in request.outputs
        ]
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def _head(tensor: Tensor) -> dict[str, Any]:
    head: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
    if tensor.parameters:
        head["parameters"] = dict(tensor.parameters)
    return head


def _named(name: str, value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return Tensor.trusted(name, value.data, value.datatype, value.parameters)
    return Tensor(name, value)


def _data(tensor: Tensor) -> Any:
    flat = tensor.data.reshape(-1)
    if tensor.datatype == "BYTES":
        try:
            return [value.decode() for value in flat]
        except UnicodeDecodeError:
            raise NotInJson(f"Tensor '{tensor.name}' holds bytes that are not UTF-8, which JSON cannot say.") from None
    if tensor.datatype == "BF16":
        raise NotInJson(f"Tensor '{tensor.name}' is BF16, which has no JSON form.")
    if flat.dtype.kind == "f":
        if np.isinf(flat).any():
            raise NotInJson(f"Tensor '{tensor.name}' holds infinity, which JSON cannot say.")
        return flat.astype(np.float64) if flat.dtype == np.float16 else flat
    return flat
