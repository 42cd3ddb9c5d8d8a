"""What a task is: how requests become what a model takes, and what it gives becomes outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from srv import InferenceRequest, InvalidInput, Spec, Tensor
from srv.codecs import input_codec
from srv.errors import listed, quoted
from srv_huggingface.loading import Loaded
from srv_huggingface.parameters import Plain

TEXT = {"content_type": "str"}
JSON = {"content_type": "json"}


class TooManyInputs(InvalidInput):
    """The request brings inputs that the task does not take."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"Input {quoted(name)} is unknown; the model takes {listed(known)}.")


class NoRows(InvalidInput):
    """An input has no element."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Input {quoted(name)} is empty. Send one element or more.")


class DifferentLengths(InvalidInput):
    """Two inputs that belong together have different numbers of elements."""

    def __init__(self, one: str, rows: int, other: str, others: int) -> None:
        super().__init__(f"Input '{one}' has {rows} elements and '{other}' {others}. Send as many of each.")


class NotOfTexts(InvalidInput):
    """An input is no list of texts."""

    def __init__(self, tensor: Tensor) -> None:
        super().__init__(
            f"Input {quoted(tensor.name)} is {tensor.datatype} {list(tensor.shape)}; the model takes BYTES of shape [n] "
            "or [n,1], a text for each row."
        )


class Task:
    """Serves a model for one task. Threads share it."""

    #: What the requests' parameters may be.
    parameters: ClassVar[type[Plain]] = Plain
    #: Whether it generates text, which can be streamed.
    streams: ClassVar[bool] = False

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded
        self.model: Any = loaded.model
        self.inputs: list[Spec] = [Spec("BYTES", (-1,), name="text", parameters=TEXT)]
        self.outputs: list[Spec] = []
        #: What the metadata says beside inputs and outputs.
        self.described: dict[str, Any] = {}

    def schema(self) -> Plain:
        """Return the schema of the requests' parameters."""
        return self.parameters()

    def predict(self, request: InferenceRequest, given: Mapping[str, Any]) -> list[Tensor]:
        """Return the outputs. Raises InvalidInput for what the model cannot take."""
        raise NotImplementedError

    def stream(self, request: InferenceRequest, given: Mapping[str, Any]) -> Iterator[list[Tensor]]:
        """Yield the outputs as they are made, where the task `streams`. Raises InvalidInput as `predict` does."""
        raise NotImplementedError

    def texts(self, request: InferenceRequest, name: str = "text") -> list[str]:
        """Return the texts of an input. Raises InvalidInput where it is missing, empty or none of texts."""
        self.check_inputs(request)
        tensor = request.tensor(name)
        content_type = tensor.parameters.get("content_type")
        if tensor.datatype != "BYTES" or not (tensor.shape[1:] == (1,) or len(tensor.shape) == 1):
            raise NotOfTexts(tensor)
        if not tensor.shape[0]:
            raise NoRows(name)
        if content_type not in (None, "str") and request.decoder is not None:
            values = request.decode(name)
            if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
                raise NotOfTexts(tensor)
            return values
        texts: list[str] = input_codec("str").decode(tensor)
        return texts

    def check_inputs(self, request: InferenceRequest) -> None:
        """Raise TooManyInputs for an input that the task does not know."""
        known = [spec.name for spec in self.inputs]
        for tensor in request.inputs:
            if tensor.name not in known:
                raise TooManyInputs(tensor.name, known)


def texts_of(values: Any) -> np.ndarray[Any, Any]:
    """Return an array of texts, of any depth, as the bytes of an output."""
    array = np.array(values, dtype=object)
    flat = [str(value).encode() for value in array.reshape(-1)]
    encoded = np.empty(len(flat), dtype=object)
    encoded[:] = flat
    return encoded.reshape(array.shape)


def text_output(name: str, values: Any) -> Tensor:
    """Return an output of texts."""
    return Tensor(name, texts_of(values), "BYTES", parameters=TEXT)
