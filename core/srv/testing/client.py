"""The client of the kit: asks a server, real or in process, over REST or gRPC."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import orjson

from srv.messages import RequestedOutput
from srv.tensors import EMPTY, Parameters
from srv.testing.answers import Answer
from srv.testing.requests import Asked, as_request, path_of
from srv.testing.transports import Form, form_called

if TYPE_CHECKING:
    import grpc


class Asker:
    """A client of one server. Each method returns the answer, also one that is an error; it raises nothing for it."""

    def request(
        self, method: str, path: str, body: bytes | None = None, *, headers: Mapping[str, str] = EMPTY
    ) -> Answer:
        """Send one request as it stands."""
        raise NotImplementedError

    @property
    def grpc_address(self) -> str:
        """The address of the server's gRPC face, as `host:port`."""
        raise NotImplementedError

    def grpc_channel(self) -> AbstractContextManager[grpc.Channel]:
        """Return a channel to the gRPC face, which is left when it has been asked."""
        from srv.testing.grpc_client import channel_to  # here, because it imports grpc

        channel: AbstractContextManager[grpc.Channel] = channel_to(self.grpc_address)
        return channel

    def get(self, path: str, *, headers: Mapping[str, str] = EMPTY) -> Answer:
        """Send a GET."""
        return self.request("GET", path, headers=headers)

    def post(self, path: str, document: Any = None, *, headers: Mapping[str, str] = EMPTY) -> Answer:
        """Send a POST with a body of JSON; bytes are sent as they stand."""
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
        form: Form | str = "json",
    ) -> Answer:
        """Ask for inference; ``answer["y"]`` is an output's array, ``answer.response`` the whole response.

        `form` is how the request travels and its answer comes back: `json`, `binary`, `grpc` (raw contents) or
        `grpc-typed`; headers are metadata over gRPC. Raises NoJsonForm for what JSON cannot say: BYTES that are not
        UTF-8, infinity, BF16.
        """
        request = as_request(inputs, outputs=outputs, parameters=parameters, id=id)
        chosen = form_called(form) if isinstance(form, str) else form
        return chosen.infer(self, model, request, version=version, headers=headers)

    def stream(
        self,
        model: str,
        inputs: Asked,
        *,
        version: str | None = None,
        parameters: Parameters = EMPTY,
        id: str | None = None,
        headers: Mapping[str, str] = EMPTY,
        form: str = "json",
    ) -> list[Answer]:
        """Ask for a stream and take all of it: an answer for each response, and a last bad one if the stream failed.

        `form` is `json`, for events over REST, or `grpc`, whose failures have a sentence and no code.
        """
        from srv.testing.streaming import over_grpc, over_rest  # here, because it imports grpc

        request = as_request(inputs, parameters=parameters, id=id)
        if form == "json":
            return over_rest(self, model, request, version=version, headers=headers)
        if form == "grpc":
            return over_grpc(self.grpc_channel(), model, request, version=version, headers=headers)
        raise ValueError(f"There is no form '{form}' of streams; there are json, grpc.")

    def call(
        self,
        method: str,
        model: str,
        path: str,
        document: Any = None,
        *,
        version: str | None = None,
        headers: Mapping[str, str] = EMPTY,
    ) -> Answer:
        """Call a route of the model's runtime, as `client.call("POST", "iris", "explain", {"x": 1})`.

        `document` is the body: bytes are sent as they stand, None is no body, and anything else becomes JSON.
        """
        whole = f"{path_of(model, version)}/{path}"
        if document is None or isinstance(document, bytes):
            return self.request(method, whole, document, headers=headers)
        body = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
        return self.request(method, whole, body, headers={"Content-Type": "application/json", **headers})

    def metadata(self, model: str, version: str | None = None) -> Answer:
        """Return the model's metadata."""
        return self.get(path_of(model, version))
