"""A server's answer: the bytes as they came, and their meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from srv.codecs import is_binary
from srv.messages import InferenceResponse
from srv.rest.binary import HEADER, SIZE
from srv.rest.json_tensors import read_data, read_texts
from srv.tensors import EMPTY, Tensor, null_of
from srv.wire.base64_tensors import read_base64
from srv.wire.raw_tensors import read_raw


class _Output(msgspec.Struct):
    """One tensor of an answer; its data stay text until the datatype is known."""

    name: str
    datatype: str
    shape: list[int]
    data: msgspec.Raw = msgspec.Raw()
    parameters: dict[str, Any] | None = None


class _Response(msgspec.Struct):
    """An inference response as JSON has it."""

    model_name: str
    outputs: list[_Output]
    model_version: str | None = None
    id: str | None = None
    parameters: dict[str, Any] | None = None


@dataclass(frozen=True)
class Answer:
    """One answer, good or bad. Names of headers are in lower case.

    One that came over gRPC has HTTP's status for the same outcome, and its response in place of a body.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    decoded: InferenceResponse | None = None

    @property
    def ok(self) -> bool:
        """Whether the status is one of the 200s."""
        return 200 <= self.status < 300

    @property
    def json(self) -> Any:
        """The body, which must be JSON."""
        return msgspec.json.decode(self.body)

    @property
    def error(self) -> str | None:
        """The sentence of an answer that is not good, else None."""
        return None if self.ok else str(self.json["error"])

    @property
    def code(self) -> str | None:
        """The stable name of what went wrong, such as ``INVALID_INPUT``; None if nothing did."""
        return None if self.ok else str(self.json["code"])

    @property
    def response(self) -> InferenceResponse:
        """The inference response. Raises AssertionError with the server's own sentence where there is none."""
        if not self.ok:
            raise AssertionError(f"The server answered {self}, and not with an inference response.")
        if self.decoded is not None:
            return self.decoded
        length = int(self.headers.get(HEADER.lower(), len(self.body)))
        read = msgspec.json.decode(self.body[:length], type=_Response)
        behind = _Behind(self.body[length:])
        outputs = [_tensor(output, f"outputs[{place}]", behind) for place, output in enumerate(read.outputs)]
        response = InferenceResponse(outputs, read.parameters or EMPTY, self.headers)
        response.model_name, response.model_version, response.id = read.model_name, read.model_version, read.id
        return response

    def __getitem__(self, name: str) -> np.ndarray[Any, Any]:
        """The array of the output of that name."""
        response = self.response
        try:
            return response[name]
        except KeyError:
            given = ", ".join(tensor.name for tensor in response.outputs) or "none"
            raise AssertionError(f"The answer has no output '{name}'; it has {given}.") from None

    def __str__(self) -> str:
        said = self.body.decode(errors="replace")
        return f"{self.status} {said[:300]}"


class _Behind:
    """The binary data after an answer's JSON, taken from the front, output by output."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def take(self, size: int) -> bytes:
        """Return the next bytes of that number."""
        taken, self._data = self._data[:size], self._data[size:]
        return taken


def _tensor(output: _Output, where: str, behind: _Behind) -> Tensor:
    parameters = dict(output.parameters or EMPTY)
    size = parameters.pop(SIZE, None)
    if size is None and output.datatype == "BYTES":
        array, _ = read_texts(output.data, output.shape, where, null=null_of(parameters))
        if is_binary(parameters.get("content_type")):
            array = read_base64(array, where)
    elif size is None:
        array = read_data(output.data, output.datatype, output.shape, where)
    else:
        array = read_raw(behind.take(size), output.datatype, output.shape, where)
    return Tensor.trusted(output.name, array, output.datatype, parameters)
