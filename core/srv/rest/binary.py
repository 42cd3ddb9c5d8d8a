"""The binary tensor extension over HTTP: tensors as bytes behind the JSON, in requests and responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from srv.errors import InvalidInput, quoted
from srv.messages import InferenceRequest
from srv.model_settings import Spec
from srv.tensors import Tensor, as_bytes
from srv.wire.raw_tensors import dtype_of, read_raw

#: How long the JSON at the body's beginning is.
HEADER = "Inference-Header-Content-Length"
SIZE = "binary_data_size"


class BadHeader(InvalidInput):
    """The header with the length of the JSON holds no such length."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The header {HEADER} {why}.")


class BadBinary(InvalidInput):
    """Binary data are longer or shorter than the request says."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where}: {why}.")


class NoRawForm(InvalidInput):
    """A raw body came for a model whose metadata do not describe one."""

    def __init__(self, why: str) -> None:
        super().__init__(f"A raw body needs a model with one declared input whose shape follows from its size; {why}.")


class BinaryData:
    """The bytes behind a request's JSON; each input takes its own from the front."""

    def __init__(self, data: memoryview) -> None:
        self._data = data

    def take(self, size: object, where: str) -> memoryview:
        """Return the next `size` bytes. Raises InvalidInput where there are fewer."""
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise BadBinary(f"{where}.parameters.{SIZE}", "expected integer >= 0")
        if size > len(self._data):
            raise BadBinary(where, f"{SIZE} is {size}, and {len(self._data)} bytes of binary data are left")
        taken, self._data = self._data[:size], self._data[size:]
        return taken

    def check_end(self) -> None:
        """Raise InvalidInput where bytes are left that belong to no input."""
        if len(self._data):
            raise BadBinary("The body", f"{len(self._data)} bytes of binary data belong to no input")


def json_length(header: str, body_length: int) -> int:
    """Return how many bytes of the body are JSON. Raises InvalidInput for no number, or one beyond the body."""
    if not (header.isascii() and header.isdigit()) or len(header) > 18:
        raise BadHeader(f"must be a number of bytes, not {quoted(header)}")
    length = int(header)
    if length > body_length:
        raise BadHeader(f"says {length}, and the body has {body_length} bytes")
    return length


def read_raw_body(body: bytes | memoryview, inputs: tuple[Spec, ...], headers: Mapping[str, str]) -> InferenceRequest:
    """Return the request that a body without JSON stands for: the only input of a model that declares it.

    Of its shape one length may be -1 and follows from the body's size; BYTES is one element, the body as it is.
    """
    if len(inputs) != 1:
        raise NoRawForm(f"this one declares {len(inputs)}")
    spec = inputs[0]
    if spec.datatype is None or spec.shape is None:
        raise NoRawForm(f"'{spec.name}' has no declared {'datatype' if spec.datatype is None else 'shape'}")
    open_lengths = [place for place, length in enumerate(spec.shape) if length == -1]
    if len(open_lengths) > 1:
        raise NoRawForm(f"'{spec.name}' has {len(open_lengths)} open lengths")
    shape = [1 if length == -1 else length for length in spec.shape]
    known = 1
    for length in shape:
        known *= length
    if spec.datatype == "BYTES":
        if known != 1:
            raise NoRawForm(f"'{spec.name}' has {known} elements, and a raw body of BYTES is one")
        array = as_bytes(spec.name, [bytes(body)]).reshape(shape)
        return InferenceRequest([Tensor.trusted(spec.name, array, "BYTES")], headers=headers)
    row = known * dtype_of(spec.datatype, spec.name).itemsize
    if open_lengths:
        if not row or len(body) % row:
            raise BadBinary(
                "The body", f"{len(body)} bytes are no multiple of the {row} that a row of '{spec.name}' has"
            )
        shape[open_lengths[0]] = len(body) // row
    array = read_raw(body, spec.datatype, shape, f"Input '{spec.name}'")
    return InferenceRequest([Tensor.trusted(spec.name, array, spec.datatype)], headers=headers)


class BinaryChoice:
    """Which outputs the client wants as binary data: what the output says counts before what the request says."""

    def __init__(self, request: InferenceRequest) -> None:
        self._all = _boolean(request.parameters, "binary_data_output", "parameters")
        self._own: dict[str, bool | None] = {
            output.name: _boolean(output.parameters, "binary_data", f"outputs[{place}].parameters")
            for place, output in enumerate(request.outputs or ())
        }

    def __call__(self, name: str) -> bool:
        """Return whether the output of that name goes as binary data."""
        own = self._own.get(name)
        return bool(self._all) if own is None else own


def _boolean(parameters: Mapping[str, Any], name: str, where: str) -> bool | None:
    value = parameters.get(name) if parameters else None
    if value is not None and not isinstance(value, bool):
        raise BadBinary(f"{where}.{name}", "expected boolean")
    return value
