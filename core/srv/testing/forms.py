"""The forms in which a request travels: a form that joins here joins every conformance check."""

from __future__ import annotations

from typing import Protocol

from srv.messages import InferenceRequest
from srv.testing.answers import Answer
from srv.testing.asking import Asker, NotInJson, as_binary, as_json, path_of


class Form(Protocol):
    """One way for a request to reach a model and for its answer to come back."""

    @property
    def name(self) -> str:
        """What sentences call it."""

    def carries(self, request: InferenceRequest) -> bool:
        """Whether this form can say the request."""

    def infer(self, server: Asker, model: str, request: InferenceRequest) -> Answer:
        """Ask in this form; the answer's status is HTTP's also where the form has codes of its own."""


class Json:
    """REST with the tensors' data as JSON."""

    name = "JSON"

    def carries(self, request: InferenceRequest) -> bool:
        """All but BYTES that are not UTF-8, infinity and BF16."""
        try:
            as_json(request)
        except NotInJson:
            return False
        return True

    def infer(self, server: Asker, model: str, request: InferenceRequest) -> Answer:
        """POST it."""
        return server.post(f"{path_of(model)}/infer", as_json(request))


class Binary:
    """REST with the tensors' data as bytes behind the JSON, both ways."""

    name = "binary data"

    def carries(self, request: InferenceRequest) -> bool:
        """Every tensor; a request without one has no data to send so."""
        return bool(request.inputs)

    def infer(self, server: Asker, model: str, request: InferenceRequest) -> Answer:
        """POST it."""
        body, headers = as_binary(request)
        return server.request("POST", f"{path_of(model)}/infer", body, headers=headers)


class Grpc:
    """gRPC with the tensors' data as raw contents, both ways."""

    name = "gRPC, raw"

    def carries(self, request: InferenceRequest) -> bool:  # noqa: ARG002 - as the others are asked
        """Every request."""
        return True

    def infer(self, server: Asker, model: str, request: InferenceRequest) -> Answer:
        """Call it."""
        from srv.testing.calls import call  # here, because whoever asks otherwise need not import grpc

        return call(server.grpc_address, model, request)


class GrpcTyped:
    """gRPC with the tensors' data as typed contents, both ways."""

    name = "gRPC, typed"

    def carries(self, request: InferenceRequest) -> bool:
        """All but FP16 and BF16; a request without a tensor has no contents to be typed."""
        from srv.grpc.contents import FIELDS

        return bool(request.inputs) and all(tensor.datatype in FIELDS for tensor in request.inputs)

    def infer(self, server: Asker, model: str, request: InferenceRequest) -> Answer:
        """Call it."""
        from srv.testing.calls import call

        return call(server.grpc_address, model, request, typed=True)


#: All that there are, the one that every client speaks first.
FORMS: tuple[Form, ...] = (Json(), Binary(), Grpc(), GrpcTyped())
