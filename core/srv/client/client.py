"""The client for threads: one object asks one server, from any number of threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from srv.client.arguments import (
    check_numbers,
    headers_of,
    id_of,
    name_of,
    outputs_of,
    parameters_of,
    text_of,
    version_of,
)
from srv.client.attempts import Attempts
from srv.client.inputs import Given, needs_metadata, request_of
from srv.client.result import Result
from srv.client.tls import Tls, Verify
from srv.client.transport import ClientCall, Transport
from srv.errors import InvalidInput
from srv.messages import InferenceRequest, ModelMetadata, RequestedOutput
from srv.server_urls import with_scheme
from srv.tensors import EMPTY, Parameters

DEFAULT_URL = "http://localhost:8080"
_FORMS = (None, "json", "binary")

Answer = TypeVar("Answer")


class RequestParts(NamedTuple):
    """What a call says beside its inputs, as it is sent."""

    id: str | None
    outputs: Iterable[str | RequestedOutput] | None
    parameters: Mapping[str, Any]


class OnlyOverHttp(InvalidInput):
    """Something was asked over gRPC that only HTTP has."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not there over gRPC; make a Client with an http:// URL.")


class Client:
    """Asks a server of the Open Inference Protocol: srv, and Triton, KServe or MLServer as far as they speak it.

        client = Client("http://localhost:8080")
        client.infer("iris", [[5.1, 3.5, 1.4, 0.2]])["predict"]
        client.infer("houses", city=["Berlin"], rooms=[3]).value

    `url` is http://, https://, unix:/path, grpc:// or grpcs://; `host:port` alone is http. `key` is sent as a bearer token, `headers` with every request.
    `timeout` is how many seconds a call may take, its retries among them. `verify` is False, a file with authorities, or
    an SSLContext; `certificate` the client's own, with its key. `form` is `json` or `binary`; by itself the client
    takes what the server understands. `retries` counts attempts after the first; a request whose connection was lost may have
    run already, and is tried again with `retry_lost` only.

    Any thread may call. Raises errors of `srv.errors`, with the server's `code` and `request_id`; `NoConnection`, `ConnectionLost`
    and `TimedOut` where no answer came.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        key: str | None = None,
        headers: Mapping[str, str] = EMPTY,
        timeout: float = 60.0,
        retries: int = 3,
        retry_lost: bool = False,
        connections: int = 32,
        verify: Verify = True,
        certificate: tuple[Path | str, Path | str] | None = None,
        form: str | None = None,
    ) -> None:
        if form not in _FORMS:
            raise InvalidInput(f"There is no form '{form}'; there are json, binary.")
        check_numbers(timeout=timeout, retries=retries, connections=connections)
        self.url = with_scheme(url)
        self._headers = headers_of({**headers, **({} if key is None else {"Authorization": f"Bearer {key}"})})
        self._timeout = timeout
        self._retries = Attempts(retries, retry_lost)
        self._known: dict[tuple[str, str | None], ModelMetadata] = {}
        self._transport = _transport(self.url, form, connections, Tls(verify, certificate))

    # -- inference ------------------------------------------------------------------------------------------------------

    def infer(
        self,
        model: str,
        inputs: Given = None,
        /,
        *,
        version: str | None = None,
        outputs: Iterable[str | RequestedOutput] | None = None,
        parameters: Parameters = EMPTY,
        id: str | None = None,
        headers: Mapping[str, str] = EMPTY,
        timeout: float | None = None,
        **named: Any,
    ) -> Result:
        """Return the outputs of a model.

        `inputs` are values by name, the value of the only input, a pandas.DataFrame, a `Tensor` or a list of them, or a whole
        InferenceRequest; values by name may be keywords too. Lists and arrays become the datatype that the model declares.
        `outputs` chooses among the outputs.
        """
        call = self._call(headers, timeout, version)
        beside = RequestParts(id_of(id), outputs_of(outputs), parameters_of(parameters))

        def ask(seconds: float) -> Result:
            now = call._replace(seconds=seconds)
            request = self._request(model, _given(inputs, named), now, beside)
            return Result(self._transport.infer(model, request, now))

        return self._with_known_metadata(model, call.version, lambda: self._retries.call(ask, call.seconds))

    def stream(
        self,
        model: str,
        inputs: Given = None,
        /,
        *,
        version: str | None = None,
        outputs: Iterable[str | RequestedOutput] | None = None,
        parameters: Parameters = EMPTY,
        id: str | None = None,
        headers: Mapping[str, str] = EMPTY,
        timeout: float | None = None,
        **named: Any,
    ) -> Iterator[Result]:
        """Yield the outputs of a model as it gives them. Closing the iterator ends the request on the server too.

        `timeout` counts until each response over HTTP, and for the whole stream over gRPC. Nothing is tried again.
        """
        call = self._call(headers, timeout, version)
        beside = RequestParts(id_of(id), outputs_of(outputs), parameters_of(parameters))
        request = self._request(model, _given(inputs, named), call, beside)
        for response in self._transport.stream(model, request, call):
            yield Result(response)

    def generate(
        self,
        model: str,
        text: str,
        *,
        version: str | None = None,
        headers: Mapping[str, str] = EMPTY,
        timeout: float | None = None,
        **parameters: Any,
    ) -> str:
        """Return the text that a model makes of a text; keywords are the model's own parameters, such as max_tokens."""
        model, call = name_of("model", model), self._call(headers, timeout, version)
        text, sent = text_of(text), parameters_of(parameters)
        return self._retries.call(
            lambda seconds: self._transport.generate(model, text, sent, call._replace(seconds=seconds)),
            call.seconds,
        )

    def generate_stream(
        self,
        model: str,
        text: str,
        *,
        version: str | None = None,
        headers: Mapping[str, str] = EMPTY,
        timeout: float | None = None,
        **parameters: Any,
    ) -> Iterator[str]:
        """Yield the pieces of such a text as they come."""
        call = self._call(headers, timeout, version)
        return self._transport.generate_stream(name_of("model", model), text_of(text), parameters_of(parameters), call)

    # -- models and the server ------------------------------------------------------------------------------------------

    def metadata(self, model: str, version: str | None = None, *, fresh: bool = False) -> ModelMetadata:
        """Return inputs, outputs and parameters of a model. They are asked for once, and again with `fresh`."""
        model, version = name_of("model", model), version_of(version)
        known = None if fresh else self._known.get((model, version))
        if known is None:
            known = self._repeatable(lambda call: self._transport.metadata(model, call), version)
            self._known[model, version] = known
        return known

    def models(self) -> list[Mapping[str, Any]]:
        """Return a row for each version of a model: name, version, state, reason."""
        return self._repeatable(self._transport.index)

    def load(self, model: str, *, timeout: float | None = None) -> None:
        """Have a model loaded, or loaded anew."""
        self._control(model, "load", timeout)

    def unload(self, model: str, *, timeout: float | None = None) -> None:
        """Have a model unloaded."""
        self._control(model, "unload", timeout)

    def is_live(self) -> bool:
        """Whether the server is alive; False also where nothing answers."""
        return self._is_well(lambda call: self._transport.is_live(call))

    def is_ready(self, model: str | None = None, version: str | None = None) -> bool:
        """Whether the server, or a model, is ready; False also where nothing answers."""
        asked = None if model is None else name_of("model", model)
        return self._is_well(lambda call: self._transport.is_ready(asked, call._replace(version=version_of(version))))

    def server(self) -> Mapping[str, Any]:
        """Return name, version and extensions of the server."""
        return self._repeatable(self._transport.server)

    def statistics(self, model: str | None = None, version: str | None = None) -> list[Mapping[str, Any]]:
        """Return the statistics of a model, or of all."""
        asked = None if model is None else name_of("model", model)
        return self._repeatable(lambda call: self._transport.statistics(asked, call), version)

    def config(self, model: str, version: str | None = None) -> Mapping[str, Any]:
        """Return the configuration of a model as Triton has it."""
        model = name_of("model", model)
        return self._repeatable(lambda call: self._transport.config(model, call), version)

    def call(
        self,
        method: str,
        path: str,
        document: Any = None,
        *,
        headers: Mapping[str, str] = EMPTY,
        timeout: float | None = None,
    ) -> Any:
        """Ask any path, such as a route of a model's runtime: `client.call("POST", "/v2/models/iris/explain", {"x": 1})`.

        A document of bytes is sent as it is, with the Content-Type of `headers`. Returns its JSON, or its bytes where the answer is no JSON.
        """
        from srv.client.http_transport import HttpTransport  # here, because clients over gRPC need none of HTTP

        if not isinstance(self._transport, HttpTransport):
            raise OnlyOverHttp(f"The path {path}")
        call = self._call(EMPTY, timeout)
        sent = {**call.headers, **headers_of(headers, "content-type" if isinstance(document, bytes) else "")}
        return self._transport.call(method, path, document, call._replace(headers=sent))

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # -- within ---------------------------------------------------------------------------------------------------------

    def _call(self, headers: Mapping[str, str], timeout: float | None, version: str | None = None) -> ClientCall:
        if timeout is not None:
            check_numbers(timeout=timeout)
        seconds = self._timeout if timeout is None else timeout
        sent = {**self._headers, **headers_of(headers)} if headers else self._headers
        return ClientCall(seconds, sent, version_of(version))

    def _request(self, model: str, given: Given, call: ClientCall, beside: RequestParts) -> InferenceRequest:
        name_of("model", model)
        known = self._metadata(model, call) if needs_metadata(given) else None
        made = request_of(
            given, known
        )  # the caller's own where that is whole, which keeps what nothing else is said for
        parameters = {**parameters_of(made.parameters), **beside.parameters}
        return InferenceRequest(made.inputs, beside.id or made.id, beside.outputs or made.outputs, parameters)

    def _metadata(self, model: str, call: ClientCall) -> ModelMetadata:
        known = self._known.get((model, call.version))
        if known is None:
            known = self._known[model, call.version] = self._transport.metadata(model, call)
        return known

    def _with_known_metadata(self, model: str, version: str | None, ask: Callable[[], Answer]) -> Answer:
        """Return what `ask` gives, and ask once more where the model has changed since its metadata were read."""
        before = self._known.get((model, version))
        try:
            return ask()
        except InvalidInput:
            if before is None or self.metadata(model, version, fresh=True) == before:
                raise
        return ask()

    def _repeatable(self, ask: Callable[[ClientCall], Answer], version: str | None = None) -> Answer:
        call = self._call(EMPTY, None, version)
        return self._retries.call(lambda seconds: ask(call._replace(seconds=seconds)), call.seconds, repeatable=True)

    def _control(self, model: str, action: str, timeout: float | None) -> None:
        model, call = name_of("model", model), self._call(EMPTY, timeout)
        self._retries.call(
            lambda seconds: self._transport.control(model, action, call._replace(seconds=seconds)), call.seconds
        )
        for key in [key for key in self._known if key[0] == model]:
            self._known.pop(key, None)

    def _is_well(self, ask: Callable[[ClientCall], bool]) -> bool:
        from srv.client.failures import ConnectionLost, NoConnection, TimedOut
        from srv.errors import NotFound

        try:
            return ask(self._call(EMPTY, None))
        except (NoConnection, ConnectionLost, TimedOut, NotFound):
            return False


def _given(inputs: Given, named: Mapping[str, Any]) -> Given:
    """Return what a caller gave, in either way."""
    if not named:
        return {} if inputs is None else inputs
    if inputs is None:
        return named
    if isinstance(inputs, Mapping):
        return {**inputs, **named}
    raise InvalidInput(f"Give either one value for the only input or values by name, not both ({', '.join(named)}).")


def _transport(url: str, form: str | None, connections: int, tls: Tls) -> Transport:
    if url.startswith(("grpc://", "grpcs://")):
        from srv.client.grpc_transport import GrpcTransport  # here, because it imports grpc

        return GrpcTransport(url, tls)
    from srv.client.http_connections import HttpPool  # here, because clients over gRPC need none of HTTP
    from srv.client.http_transport import HttpTransport

    return HttpTransport(HttpPool(url, connections=connections, tls=tls), form)
