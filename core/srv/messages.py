"""What travels between a face and a runtime: inference requests, inference responses, metadata."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from srv.cancellation import NOBODY, Caller
from srv.errors import InvalidInput, SrvError, listed, quoted
from srv.model_settings import Spec
from srv.tensors import EMPTY, Parameters, Tensor

#: The header with the id of the request that a client sent, or that srv has made.
_REQUEST_ID = "x-request-id"


class NoDecoder(SrvError):
    """`request.decode` was called on a request that no server has received."""

    def __init__(self) -> None:
        super().__init__(
            "This request was made by hand and has no codecs. Use request['name'], or srv.codecs.input_codec(...)."
        )


class RequestedOutput:
    """An output that the client asks for by name, with parameters of its own."""

    __slots__ = ("name", "parameters")

    def __init__(self, name: str, parameters: Parameters = EMPTY) -> None:
        self.name = name
        self.parameters = parameters


class InferenceRequest:
    """One request for inference, as the client sent it: tensors, and what was said beside them.

    `request["x"]` is the array of the input x, `request.decode("x")` its value through the codec that applies.
    `outputs` is None where the client asks for all of them. An empty list of outputs or an empty id is none.
    `model_name` and `model_version` are the model's that answers; srv fills them in.
    """

    __slots__ = (
        "_state", "caller", "decoder", "headers", "id", "inputs", "model_name", "model_version", "outputs", "parameters",
    )  # fmt: skip

    def __init__(
        self,
        inputs: Sequence[Tensor],
        id: str | None = None,
        outputs: Iterable[RequestedOutput | str] | None = None,
        parameters: Parameters = EMPTY,
        headers: Mapping[str, str] = EMPTY,
    ) -> None:
        self.inputs = inputs
        self.id = id or None
        self.outputs: Sequence[RequestedOutput] | None = None
        if outputs:  # an empty list is the same as none, because gRPC cannot tell them apart
            asked = [RequestedOutput(output) if isinstance(output, str) else output for output in outputs]
            self.outputs = asked or None
        self.parameters = {} if parameters is EMPTY else parameters  # a dict, as it is when the client sent some
        self.headers = headers
        self.model_name = ""
        self.model_version: str | None = None
        self.decoder: Callable[[InferenceRequest, Tensor], Any] | None = None
        self.caller: Caller = NOBODY
        self._state: dict[str, Any] | None = None

    @property
    def state(self) -> dict[str, Any]:
        """What plugins keep with the request, by names that begin with the plugin's own. It is never sent anywhere.

        One dict from `srv_before_infer` to `srv_after_infer`, also where a plugin replaces the request.
        """
        if self._state is None:
            self._state = {}
        return self._state

    def is_abandoned(self) -> bool:
        """Return whether nobody waits for the answer any more: the client has left, or the deadline has passed.

        For `predict` where it takes long, between its steps; from any thread. False for a request that no client waits for, such
        as a warm-up; of requests that run as one batch, True when all are abandoned.
        """
        return self.caller.is_abandoned()

    def raise_if_abandoned(self) -> None:
        """Raise srv.errors.DeadlinePassed or srv.errors.ClientLeft where `is_abandoned` is True; let it pass through."""
        self.caller.raise_if_abandoned()

    def stand_in_for(self, replaced: InferenceRequest) -> None:
        """Take the place of a request that a plugin has replaced: with its client, its ids and its state.

        Headers are those of the replaced request too, where this one has none.
        """
        self.caller, self.id = replaced.caller, replaced.id
        self.model_name, self.model_version = replaced.model_name, replaced.model_version
        if self.headers is EMPTY:
            self.headers = replaced.headers
        elif _REQUEST_ID not in self.headers and _REQUEST_ID in replaced.headers:
            self.headers = {**self.headers, _REQUEST_ID: replaced.headers[_REQUEST_ID]}
        state = replaced.state
        state.update(self._state or {})
        self._state = state

    def tensor(self, name: str) -> Tensor:
        """The input of that name. Raises InvalidInput where the client sent none."""
        for tensor in self.inputs:
            if tensor.name == name:
                return tensor
        raise MissingInput(name, [tensor.name for tensor in self.inputs])

    def __getitem__(self, name: str) -> np.ndarray[Any, Any]:
        """The array of the input of that name. Raises InvalidInput where the client sent none."""
        return self.tensor(name).data

    def decode(self, name: str) -> Any:
        """The input's value through its codec: the request's content type, then the model's, then the default."""
        if self.decoder is None:
            raise NoDecoder
        return self.decoder(self, self.tensor(name))


class InferenceResponse:
    """What a runtime answers: tensors, and what is said beside them. srv fills in model name, version and id."""

    __slots__ = ("headers", "id", "model_name", "model_version", "outputs", "parameters")

    def __init__(
        self,
        outputs: Sequence[Tensor],
        parameters: Parameters = EMPTY,
        headers: Mapping[str, str] = EMPTY,
    ) -> None:
        self.outputs = outputs
        self.parameters = parameters
        self.headers = headers
        self.model_name = ""
        self.model_version: str | None = None
        self.id: str | None = None

    def __getitem__(self, name: str) -> np.ndarray[Any, Any]:
        """The array of the output of that name. Raises KeyError where there is none."""
        for tensor in self.outputs:
            if tensor.name == name:
                return tensor.data
        raise KeyError(name)


class MissingInput(InvalidInput):
    """The runtime needs an input that the request does not bring."""

    def __init__(self, name: str, given: Iterable[str]) -> None:
        super().__init__(f"Input '{name}' is missing; the request brings {_quoted_list(given)}.")


def _quoted_list(names: Iterable[str]) -> str:
    return listed(quoted(name) for name in names)


class ModelRoute(msgspec.Struct, frozen=True):
    """What a model says of a route of its runtime's own; a path that begins with / stands at the root, any other below it."""

    method: str
    path: str
    #: The first line of its method's docstring, and all of it.
    summary: str = ""
    description: str = ""
    #: Whether it answers with a stream.
    streams: bool = False

    @property
    def title(self) -> str:
        """The route for logs and sentences: `POST explain`."""
        return f"{self.method} {self.path}"

    def path_below(self, model: str) -> str:
        """Return the whole path, where the model itself stands at that path."""
        return self.path if self.path.startswith("/") else f"{model}/{self.path}"


class ModelMetadata(msgspec.Struct, frozen=True):
    """What a model says of itself on both faces; a None shape is any shape."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]
    parameters: Mapping[str, Any]
    #: Whether the only input may have any other name too.
    any_input_name: bool = False
    #: Whether BYTES may have missing values, which are null in JSON.
    missing_values: bool = False
    #: Whether parameters of a request may be lists and objects.
    nested_parameters: bool = False
    #: What predict_stream takes, where the model has predict too and its signature says something else.
    stream_inputs: tuple[Spec, ...] | None = None
    #: How many rows run together; 0 where requests run one by one.
    max_batch_size: int = 0
    #: The content types of its tensors that are base64 in JSON.
    base64: frozenset[str] = frozenset()
    #: The routes of its runtime's own that are served.
    routes: tuple[ModelRoute, ...] = ()
    #: Whether it answers with one response.
    answers: bool = True
    #: Whether it answers with streams.
    streams: bool = True
    #: The inputs that a request must have, also those of which `inputs` says nothing.
    required: tuple[str, ...] = ()
    #: The values of inputs that take a few only.
    choices: Mapping[str, tuple[Any, ...]] = {}
    #: A value that it answers, as `srv.Client.infer` takes it; None where the runtime has none.
    example: Any = None


class ServerMetadata(msgspec.Struct, frozen=True):
    """What the server says of itself; only extensions that work are listed."""

    name: str
    version: str
    extensions: tuple[str, ...]
