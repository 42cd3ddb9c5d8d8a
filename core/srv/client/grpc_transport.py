"""The protocol over gRPC."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import grpc
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError

from srv.client.abandoning import CALL
from srv.client.arguments import BadArgument
from srv.client.failures import (
    CLASSES,
    ConnectionLost,
    NoConnection,
    NoServerUrl,
    NotTheProtocol,
    TimedOut,
    UnknownStatus,
    told,
)
from srv.client.grpc_messages import as_message, as_response
from srv.client.tls import Tls
from srv.client.transport import ClientCall
from srv.errors import InvalidInput, SrvError
from srv.grpc.convert import read_parameters
from srv.grpc.descriptors import INFERENCE, ModelInferResponse, message
from srv.grpc.errors import STATUSES
from srv.messages import InferenceRequest, InferenceResponse, ModelMetadata
from srv.model_settings import Spec
from srv.server_urls import unix_path
from srv.tensors import Tensor

#: The class of a status, for servers that send no stable name: INTERNAL is no more than that there.
_CLASSES = {status: CLASSES[code] for code, status in reversed(list(STATUSES.items()))} | {
    grpc.StatusCode.INTERNAL: SrvError
}
_STREAMED = message("inference.ModelStreamInferResponse")
Read = TypeVar("Read")
_TEXT_IN, _TEXT_OUT = "text_input", "text_output"


class GrpcTransport:
    """Asks a server over gRPC, with tensors as raw contents, for messages of any size."""

    def __init__(self, url: str, tls: Tls) -> None:
        self.url = url
        scheme, target = _target(url)
        options = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
        if scheme == "grpcs":
            self._channel = grpc.secure_channel(target, _credentials(tls), options)
        else:
            self._channel = grpc.insecure_channel(target, options)

    def infer(self, model: str, request: InferenceRequest, call: ClientCall) -> InferenceResponse:
        """Return the response of a model."""
        data, headers = self._call_bytes("ModelInfer", as_message(model, request, version=call.version), call)
        response = self._read(_response, data)
        response.headers = headers
        return response

    def stream(self, model: str, request: InferenceRequest, call: ClientCall) -> Iterator[InferenceResponse]:
        """Yield the responses of a model that streams; the seconds count for the whole."""
        asked = as_message(model, request, version=call.version)
        method = self._channel.stream_stream(f"/{INFERENCE}/ModelStreamInfer")
        responses = method(iter([asked]), timeout=call.seconds, metadata=_metadata(call))
        abandonable = CALL.get()
        if abandonable is not None:
            abandonable.use(responses.cancel)
        try:
            for data in responses:
                yield self._read(_streamed_response, data)
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
        try:
            return bool(self._ask("ModelReady", call, name=model, version=call.version or "").ready)
        except UnknownStatus:
            return False  # MLServer's word for a model that is not there

    def index(self, call: ClientCall) -> list[Mapping[str, Any]]:
        """Return a row for each version of a model. MLServer's states are `State.READY`, which others call READY."""
        rows = [_document(row) for row in self._ask("RepositoryIndex", call).models]
        return [{**row, "state": str(row.get("state", "")).removeprefix("State.")} for row in rows]

    def control(self, model: str, action: str, call: ClientCall) -> None:
        """`load` or `unload` a model. KServe's SDK has the model's name where the others have that of a repository."""
        field = "repository_name" if self.server(call)["name"] == "kserve" else "model_name"
        self._ask(f"RepositoryModel{action.title()}", call, **{field: model})

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
        return self._read(message(f"inference.{method}Response").FromString, data)

    def _read(self, read: Callable[[bytes], Read], data: bytes) -> Read:
        """Return what `read` makes of a message. Raises NotTheProtocol for what is none."""
        try:
            return read(data)
        except (DecodeError, InvalidInput, IndexError) as error:
            raise NotTheProtocol(self.url, f"its message cannot be read ({error})") from None

    def _call_bytes(self, method: str, data: bytes, call: ClientCall) -> tuple[bytes, Mapping[str, str]]:
        ask = self._channel.unary_unary(f"/{INFERENCE}/{method}")
        abandonable = CALL.get()
        try:
            if abandonable is None:
                answer, done = ask.with_call(data, timeout=call.seconds, metadata=_metadata(call))
            else:
                done = ask.future(data, timeout=call.seconds, metadata=_metadata(call))
                abandonable.use(done.cancel)
                answer = done.result()
        except grpc.RpcError as error:
            raise self._failure(error, call) from None
        except grpc.FutureCancelledError:
            raise ConnectionLost(self.url, "the call was cancelled") from None
        except ValueError as error:  # grpcio's word for a closed channel
            raise NoConnection(self.url, str(error).rstrip(".!")) from None
        return answer, _trailing(done)

    def _failure(self, error: Any, call: ClientCall) -> SrvError:
        """Return the error that a failed call stands for."""
        status, sentence = error.code(), str(error.details() or "")
        headers = _trailing(error)
        code = headers.get("srv-code")
        if code is None and status is grpc.StatusCode.UNAVAILABLE:
            never_sent = "failed to connect" in sentence.lower() or "connection refused" in sentence.lower()
            return (NoConnection if never_sent else ConnectionLost)(self.url, sentence.rstrip("."))
        if code is None and status is grpc.StatusCode.DEADLINE_EXCEEDED:
            return TimedOut(self.url, call.seconds)
        if code is None and status is grpc.StatusCode.UNKNOWN:
            return told(UnknownStatus, sentence, None, headers)
        return told(CLASSES.get(code or "", _CLASSES.get(status, SrvError)), sentence, code, headers)

    def _text_of(self, response: InferenceResponse) -> str:
        texts = [tensor for tensor in response.outputs if tensor.datatype == "BYTES"]
        named = [tensor for tensor in texts if tensor.name == _TEXT_OUT] or texts
        if len(named) != 1 or named[0].data.size != 1:
            raise NotTheProtocol(self.url, f"its answer has no {_TEXT_OUT}")
        return bytes(named[0].data.reshape(-1)[0]).decode()


def _target(url: str) -> tuple[str, str]:
    """Return scheme and target of a URL. Raises NoServerUrl where it lacks a port, because grpcio would take 443."""
    scheme, _, target = url.partition("://")
    try:
        parts = urlsplit(url)
        fits = bool(parts.hostname and parts.port) and not parts.path and parts.username is None
    except ValueError:
        fits = False
    if not fits and unix_path(target) is None:
        raise NoServerUrl(url)
    return scheme, target


def _response(data: bytes) -> InferenceResponse:
    return as_response(ModelInferResponse.FromString(data))


def _streamed_response(data: bytes) -> InferenceResponse:
    return as_response(_streamed(data))


def _streamed(data: bytes) -> Any:
    """Return the response in a message of a stream. Raises SrvError for an error's.

    MLServer sends the response itself and not a message with a response or an error in it, as Triton and srv do.
    """
    try:
        said = _STREAMED.FromString(data)
    except DecodeError:
        return ModelInferResponse.FromString(data)
    if not said.error_message:
        return said.infer_response
    try:
        itself = ModelInferResponse.FromString(data)
    except DecodeError:
        itself = None
    if itself is not None and itself.outputs:
        return itself
    raise SrvError(said.error_message)


def _trailing(call: Any) -> dict[str, str]:
    return {name: str(value) for name, value in call.trailing_metadata() or ()}


def _as_request(text: str, parameters: Mapping[str, Any]) -> InferenceRequest:
    return InferenceRequest([Tensor(_TEXT_IN, [text], "BYTES")], parameters=parameters)


def _metadata(call: ClientCall) -> tuple[tuple[str, str], ...]:
    for name, value in call.headers.items():
        if not value.isascii():
            raise BadArgument(f"The header {name} has a value that gRPC cannot carry, which takes ASCII only.")
    return tuple((name.lower(), value) for name, value in call.headers.items())


def _spec(said: Any) -> Spec:
    parameters = read_parameters(said.parameters, said.name) if hasattr(said, "parameters") else {}
    return Spec(said.datatype or None, tuple(said.shape), said.name, parameters)


def _document(said: Any) -> dict[str, Any]:
    document: dict[str, Any] = MessageToDict(said, preserving_proto_field_name=True)
    return document


def _credentials(tls: Tls) -> grpc.ChannelCredentials:
    root, key, chain = tls.files()
    return grpc.ssl_channel_credentials(root_certificates=root, private_key=key, certificate_chain=chain)
