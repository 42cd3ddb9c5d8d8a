"""The transports of a request: JSON, binary data, gRPC. One added here takes part in every conformance check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from srv.client.bodies import NoJsonForm, as_json
from srv.messages import InferenceRequest
from srv.tensors import EMPTY
from srv.testing.answers import Answer
from srv.testing.requests import ServerUnderTest, as_binary, path_of


class Form(Protocol):
    """A transport: one way for a request to reach a model and for its answer to come back."""

    @property
    def name(self) -> str:
        """The name of the transport in sentences."""

    def carries(self, request: InferenceRequest) -> bool:
        """Whether this transport can carry the request."""

    def infer(
        self,
        server: ServerUnderTest,
        model: str,
        request: InferenceRequest,
        *,
        version: str | None = None,
        headers: Mapping[str, str] = EMPTY,
    ) -> Answer:
        """Ask in this form; the answer's status is HTTP's also where the form has codes of its own."""


class _Inference(NamedTuple):
    """One inference, to be sent by any transport."""

    model: str
    request: InferenceRequest
    version: str | None
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        """The model's path over REST."""
        return path_of(self.model, self.version)


class _Transport:
    """A transport of the kit's own."""

    def infer(
        self,
        server: ServerUnderTest,
        model: str,
        request: InferenceRequest,
        *,
        version: str | None = None,
        headers: Mapping[str, str] = EMPTY,
    ) -> Answer:
        """Ask in this form, as `Form` has it."""
        return self._ask(server, _Inference(model, request, version, headers))

    def _ask(self, server: ServerUnderTest, asked: _Inference) -> Answer:
        raise NotImplementedError


class Json(_Transport):
    """REST with the tensors' data as JSON."""

    name = "JSON"

    def carries(self, request: InferenceRequest) -> bool:
        """All but BYTES that are not UTF-8, infinity and BF16."""
        try:
            as_json(request)
        except NoJsonForm:
            return False
        return True

    def _ask(self, server: ServerUnderTest, asked: _Inference) -> Answer:
        return server.post(f"{asked.path}/infer", as_json(asked.request), headers=asked.headers)


class Binary(_Transport):
    """REST with the tensors' data as bytes behind the JSON, both ways."""

    name = "binary data"

    def carries(self, request: InferenceRequest) -> bool:
        """Every tensor without missing values; a request without one has no data to send so."""
        return bool(request.inputs) and not _has_missing(request)

    def _ask(self, server: ServerUnderTest, asked: _Inference) -> Answer:
        body, own = as_binary(asked.request)
        return server.request("POST", f"{asked.path}/infer", body, headers={**asked.headers, **own})


class Grpc(_Transport):
    """gRPC with the tensors' data as raw contents, both ways."""

    name = "gRPC, raw"

    def carries(self, request: InferenceRequest) -> bool:
        """Every request without missing values."""
        return not _has_missing(request)

    def _ask(self, server: ServerUnderTest, asked: _Inference) -> Answer:
        from srv.testing.grpc_client import call  # here, because whoever asks otherwise need not import grpc

        return call(server.grpc_channel(), asked.model, asked.request, version=asked.version, headers=asked.headers)


class GrpcTyped(_Transport):
    """gRPC with the tensors' data as typed contents, both ways."""

    name = "gRPC, typed"

    def carries(self, request: InferenceRequest) -> bool:
        """All but FP16, BF16 and missing values; a request without a tensor has no contents to be typed."""
        from srv.grpc.typed_contents import FIELDS

        return (
            bool(request.inputs)
            and all(tensor.datatype in FIELDS for tensor in request.inputs)
            and not _has_missing(request)
        )

    def _ask(self, server: ServerUnderTest, asked: _Inference) -> Answer:
        from srv.testing.grpc_client import call

        return call(
            server.grpc_channel(), asked.model, asked.request, typed=True, version=asked.version, headers=asked.headers
        )


def _has_missing(request: InferenceRequest) -> bool:
    """Whether BYTES of the request hold None, which only JSON can carry."""
    return any(tensor.missing for tensor in request.inputs)


class Stream(Json):
    """REST with the data as JSON, for a model that answers with a stream: all its responses together."""

    name = "a stream of JSON"

    def _ask(self, server: ServerUnderTest, asked: _Inference) -> Answer:
        from srv.testing.streaming import as_one, over_rest  # here, because it imports grpc

        return as_one(over_rest(server, asked.model, asked.request, version=asked.version, headers=asked.headers))


class GrpcStream(Grpc):
    """gRPC with raw contents, for a model that answers with a stream. What fails there has a sentence and no code."""

    name = "a stream over gRPC"

    def _ask(self, server: ServerUnderTest, asked: _Inference) -> Answer:
        from srv.testing.streaming import as_one, over_grpc

        return as_one(
            over_grpc(server.grpc_channel(), asked.model, asked.request, version=asked.version, headers=asked.headers)
        )


#: All that there are, the one that every client speaks first.
FORMS: tuple[Form, ...] = (Json(), Binary(), Grpc(), GrpcTyped())

#: The forms by the names that `form` of a client takes.
FORMS_BY_NAME: Mapping[str, Form] = {"json": Json(), "binary": Binary(), "grpc": Grpc(), "grpc-typed": GrpcTyped()}


def form_called(name: str) -> Form:
    """Return the form of that name. Raises ValueError that lists the names."""
    if name not in FORMS_BY_NAME:
        raise ValueError(f"There is no form '{name}'; there are {', '.join(FORMS_BY_NAME)}.")
    return FORMS_BY_NAME[name]
