"""The result of an inference: arrays by name, and Python values by their content types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from srv.errors import listed, quoted
from srv.messages import InferenceResponse
from srv.tensors import Parameters, Tensor


class Result(Mapping[str, np.ndarray[Any, Any]]):
    """The outputs of a model by name: `result["predict"]` is an array, `result.decode("label")` a Python value.

    BYTES are object arrays of `bytes`; `decode` makes text of them, and whatever else their content type says.
    """

    def __init__(self, response: InferenceResponse) -> None:
        #: The whole response.
        self.response = response
        self._tensors = {tensor.name: tensor for tensor in response.outputs}

    def __getitem__(self, name: str) -> np.ndarray[Any, Any]:
        return self.tensor(name).data

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def tensor(self, name: str) -> Tensor:
        """Return an output with its datatype and parameters. Raises KeyError that lists the outputs."""
        try:
            return self._tensors[name]
        except KeyError:
            raise NoSuchOutput(name, self._tensors) from None

    def decode(self, name: str) -> Any:
        """Return the value of an output by its content type; without one a list of text for BYTES that are text, else the array."""
        return decoded(self.tensor(name))

    @property
    def value(self) -> Any:
        """The value of the whole: a table where the response is one, the value of a single output, else values by name."""
        content_type = self.parameters.get("content_type")
        if content_type is not None:
            whole = self._whole(str(content_type))
            if whole is not None:
                return whole
        values = {name: self.decode(name) for name in self}
        return next(iter(values.values())) if len(values) == 1 else values

    def table(self) -> Any:
        """Return the outputs as the columns of a pandas.DataFrame. Needs pandas."""
        from srv.codecs import request_codec  # here, because the codecs are looked for in all installed packages

        return request_codec("pd").decode_response(self.response)

    @property
    def id(self) -> str | None:
        """The id that the request was given, as the server sends it back."""
        return self.response.id

    @property
    def request_id(self) -> str | None:
        """The id of the request in the server's log."""
        return self.response.headers.get("x-request-id")

    @property
    def model_name(self) -> str:
        """The model that has answered."""
        return self.response.model_name

    @property
    def model_version(self) -> str | None:
        """Its version."""
        return self.response.model_version

    @property
    def parameters(self) -> Parameters:
        """What is said beside the outputs."""
        return self.response.parameters

    def __repr__(self) -> str:
        return f"Result({', '.join(map(repr, self._tensors.values()))})"

    def _whole(self, content_type: str) -> Any:
        from srv.codecs import UnknownContentType, WrongCodec, request_codec  # here, because codecs are looked for

        try:
            return request_codec(content_type).decode_response(self.response)
        except (UnknownContentType, WrongCodec):
            return None


class NoSuchOutput(KeyError):
    """The response has no output of that name."""

    def __init__(self, name: str, known: Mapping[str, Any]) -> None:
        super().__init__(name)
        self._sentence = f"The response has no output {quoted(name)}; it has {listed(known) or 'none'}."

    def __str__(self) -> str:
        return self._sentence


def decoded(tensor: Tensor) -> Any:
    """Return the value of a tensor by its content type; without one a list of text for BYTES that are text, else the array."""
    content_type = tensor.parameters.get("content_type")
    if isinstance(content_type, str):
        from srv.codecs import UnknownContentType, WrongCodec, input_codec  # here, because codecs are looked for

        try:
            return input_codec(content_type).decode(tensor)
        except (UnknownContentType, WrongCodec):
            pass  # of a codec that this machine lacks, or a word that means something in a table only
    if tensor.datatype != "BYTES":
        return tensor.data
    try:
        return _texts(tensor.data.tolist())
    except UnicodeDecodeError:
        return tensor.data


def _texts(elements: Any) -> Any:
    if isinstance(elements, list):
        return [_texts(each) for each in elements]
    return None if elements is None else elements.decode()
