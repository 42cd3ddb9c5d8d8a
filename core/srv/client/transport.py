"""The interface of a transport: one way to a server, over HTTP or gRPC."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from srv.messages import InferenceRequest, InferenceResponse, ModelMetadata


class ClientCall(NamedTuple):
    """What is said beside a request: the seconds that the whole may take, headers or metadata, the model's version."""

    seconds: float
    headers: Mapping[str, str]
    version: str | None = None


class Transport(Protocol):
    """Asks a server once. Errors are those of `srv.client.failures` and `srv.errors`; any thread may call.

    Documents are as HTTP has them, over gRPC too.
    """

    #: The server's address, for sentences.
    url: str

    def infer(self, model: str, request: InferenceRequest, call: ClientCall) -> InferenceResponse:
        """Return the response of a model."""

    def stream(self, model: str, request: InferenceRequest, call: ClientCall) -> Iterator[InferenceResponse]:
        """Yield the responses of a model that streams; closing the iterator ends the request."""

    def generate(self, model: str, text: str, parameters: Mapping[str, Any], call: ClientCall) -> str:
        """Return the text that a model makes of a text."""

    def generate_stream(self, model: str, text: str, parameters: Mapping[str, Any], call: ClientCall) -> Iterator[str]:
        """Yield the pieces of such a text as they come."""

    def metadata(self, model: str, call: ClientCall) -> ModelMetadata:
        """Return what a model says of itself."""

    def server(self, call: ClientCall) -> Mapping[str, Any]:
        """Return name, version and extensions of the server."""

    def is_live(self, call: ClientCall) -> bool:
        """Whether the server is alive."""

    def is_ready(self, model: str | None, call: ClientCall) -> bool:
        """Whether the server, or a model, is ready."""

    def index(self, call: ClientCall) -> list[Mapping[str, Any]]:
        """Return a row for each version of a model: name, version, state, reason."""

    def control(self, model: str, action: str, call: ClientCall) -> None:
        """`load` or `unload` a model."""

    def statistics(self, model: str | None, call: ClientCall) -> list[Mapping[str, Any]]:
        """Return the statistics of a model, or of all."""

    def config(self, model: str, call: ClientCall) -> Mapping[str, Any]:
        """Return the configuration of a model as Triton has it."""

    def close(self) -> None:
        """Close all connections."""
