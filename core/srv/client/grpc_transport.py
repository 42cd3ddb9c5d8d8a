"""The protocol over gRPC."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict

from srv.client.failures import CLASSES, ConnectionLost, NoConnection, NotTheProtocol, TimedOut, told
from srv.client.grpc_messages import as_message, as_response
from srv.client.tls import Tls
from srv.client.transport import ClientCall
from srv.errors import InvalidInput, SrvError
from srv.grpc.convert import read_parameters
from srv.grpc.descriptors import INFERENCE, ModelInferResponse, message
from srv.grpc.errors import STATUSES
from srv.messages import InferenceRequest, InferenceResponse, ModelMetadata
from srv.model_settings import Spec
from srv.tensors import Tensor

_CLASSES = {status: CLASSES[code] for code, status in reversed(list(STATUSES.items()))}
_TEXT_IN, _TEXT_OUT = "text_input", "text_output"


class GrpcTransport:
    """Asks a server over gRPC, with tensors as raw contents, for messages of any size."""

    def __init__(self, url: str, tls: Tls) -> None:
        self.url = url
        scheme, _, target = url.partition("://")
        options = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
        if scheme == "grpcs":
            self._channel = grpc.secure_channel(target, _credentials(tls), options)
        else:
            self._channel = grpc.insecure_channel(target, options)

    def infer(self, model: str, request: InferenceRequest, call: ClientCall) -> InferenceResponse:
        """Return the response of a model."""
        data, headers = self._call_bytes("ModelInfer", as_message(model, request, version=call.version), call)
        response = as_response(ModelInferResponse.FromString(data))
        response.headers = headers
        return response

    def stream(self, model: str, request: InferenceRequest, call: ClientCall) -> Iterator[InferenceResponse]:
        """Yield the responses of a model that streams; the seconds count for the whole."""
        asked = as_message(model, request, version=call.version)
        method = self._channel.stream_stream(f"/{INFERENCE}/ModelStreamInfer")
        responses = method(iter([asked]), timeout=call.seconds, metadata=_metadata(call))
        kind = message("inference.ModelStreamInferResponse")
        try:
            for data in responses:
                response = kind.FromString(data)
                if response.error_message:
                    raise SrvError(response.error_message)
                yield as_response(response.infer_response)
        except grpc.RpcError as error:
            raise self._failure(error, call) from None
        finally:
            responses.cancel()

    def generate(self, model: str, text: str, parameters: Mapping[str, Any], call: ClientCall) -> str:
        """Return the text that a model makes of a text; gRPC has no generate, so this is inference."""
        return self._text_of(self.infer(model, _as_request(text, parameters), call))

    def generate_stream(self, model: str, text: str, parameters: Mapping[str, Any], call: ClientCall) -> Iterator[str]:
        """Yield the pieces of such a text as they come."""
        for response in self.stream(model, _as_request(text, parameters), call):
            yield self._text_of(response)

    def metadata(self, model: str, call: ClientCall) -> ModelMetadata:
        """Return what a model says of itself."""
        said = self._ask("ModelMetadata", call, name=model, version=call.version or "")
        return ModelMetadata(
            name=said.name,
            versions=tuple(said.versions),
            platform=said.platform,
            inputs=tuple(map(_spec, said.inputs)),
            outputs=tuple(map(_spec, said.outputs)),
            parameters=read_parameters(said.parameters, "parameters") if hasattr(said, "parameters") else {},
        )

    def server(self, call: ClientCall) -> Mapping[str, Any]:
        """Return name, version and extensions of the server."""
        said = self._ask("ServerMetadata", call)
        return {"name": said.name, "version": said.version, "extensions": list(said.extensions)}

    def is_live(self, call: ClientCall) -> bool:
        """Whether the server is alive."""
        return bool(self._ask("ServerLive", call).live)

    def is_ready(self, model: str | None, call: ClientCall) -> bool:
        """Whether the server, or a model, is ready."""
        if model is None:
            return bool(self._ask("ServerReady", call).ready)
        return bool(self._ask("ModelReady", call, name=model, version=call.version or "").ready)

    def index(self, call: ClientCall) -> list[Mapping[str, Any]]:
        """Return a row for each version of a model."""
        return list(_document(self._ask("RepositoryIndex", call)).get("models", []))

    def control(self, model: str, action: str, call: ClientCall) -> None:
        """`load` or `unload` a model."""
        self._ask(f"RepositoryModel{action.title()}", call, model_name=model)

    def statistics(self, model: str | None, call: ClientCall) -> list[Mapping[str, Any]]:
        """Return the statistics of a model, or of all. Numbers of 64 bits are text, as protobuf has them in JSON."""
        said = self._ask("ModelStatistics", call, name=model or "", version=call.version or "")
        return list(_document(said).get("model_stats", []))

    def config(self, model: str, call: ClientCall) -> Mapping[str, Any]:
        """Return the configuration of a model."""
        config: Mapping[str, Any] = _document(
            self._ask("ModelConfig", call, name=model, version=call.version or "")
        ).get("config", {})
        return config

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def _ask(self, method: str, call: ClientCall, **fields: Any) -> Any:
        """Return the answer to a call whose message has these fields."""
        asked = message(f"inference.{method}Request")(**fields)
        data, _ = self._call_bytes(method, asked.SerializeToString(), call)
        return message(f"inference.{method}Response").FromString(data)

    def _call_bytes(self, method: str, data: bytes, call: ClientCall) -> tuple[bytes, Mapping[str, str]]:
        try:
            answer, done = self._channel.unary_unary(f"/{INFERENCE}/{method}").with_call(
                data, timeout=call.seconds, metadata=_metadata(call)
            )
        except grpc.RpcError as error:
            raise self._failure(error, call) from None
        except ValueError as error:  # grpcio's word for a closed channel
            raise NoConnection(self.url, str(error).rstrip(".!")) from None
        return answer, dict(done.trailing_metadata() or ())

    def _failure(self, error: Any, call: ClientCall) -> SrvError:
        """Return the error that a failed call stands for."""
        status, sentence = error.code(), str(error.details() or "")
        headers = {name: str(value) for name, value in error.trailing_metadata() or ()}
        code = headers.get("srv-code")
        if code is None and status is grpc.StatusCode.UNAVAILABLE:
            never_sent = "failed to connect" in sentence.lower() or "connection refused" in sentence.lower()
            return (NoConnection if never_sent else ConnectionLost)(self.url, sentence.rstrip("."))
        if code is None and status is grpc.StatusCode.DEADLINE_EXCEEDED:
            return TimedOut(self.url, call.seconds)
        return told(CLASSES.get(code or "", _CLASSES.get(status, SrvError)), sentence, code, headers)

    def _text_of(self, response: InferenceResponse) -> str:
        texts = [tensor for tensor in response.outputs if tensor.datatype == "BYTES"]
        named = [tensor for tensor in texts if tensor.name == _TEXT_OUT] or texts
        if len(named) != 1 or named[0].data.size != 1:
            raise NotTheProtocol(self.url, f"its answer has no {_TEXT_OUT}")
        return bytes(named[0].data.reshape(-1)[0]).decode()


def _as_request(text: str, parameters: Mapping[str, Any]) -> InferenceRequest:
    return InferenceRequest([Tensor(_TEXT_IN, [text], "BYTES")], parameters=parameters)


def _metadata(call: ClientCall) -> tuple[tuple[str, str], ...]:
    return tuple((name.lower(), value) for name, value in call.headers.items())


def _spec(said: Any) -> Spec:
    parameters = read_parameters(said.parameters, said.name) if hasattr(said, "parameters") else {}
    return Spec(said.datatype or None, tuple(said.shape), said.name, parameters)


def _document(said: Any) -> dict[str, Any]:
    document: dict[str, Any] = MessageToDict(said, preserving_proto_field_name=True)
    return document


def _credentials(tls: Tls) -> grpc.ChannelCredentials:
    if tls.verify is False or isinstance(tls.verify, ssl.SSLContext):
        raise InvalidInput("Over gRPC a server's certificate is always checked; name its authority with verify.")
    root = None if tls.verify is True else Path(tls.verify).read_bytes()
    chain, key = (None, None) if tls.certificate is None else (Path(part).read_bytes() for part in tls.certificate)
    return grpc.ssl_channel_credentials(root_certificates=root, private_key=key, certificate_chain=chain)
