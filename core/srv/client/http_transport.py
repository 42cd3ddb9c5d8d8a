"""The protocol over HTTP: paths, bodies and events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import msgspec
import orjson
import urllib3

from srv.client.bodies import NoJsonForm, Parts, as_binary, as_json
from srv.client.events import events
from srv.client.failures import NotTheProtocol, failure_of
from srv.client.http_connections import HttpPool, pieces_of
from srv.client.responses import read_response
from srv.client.transport import ClientCall
from srv.errors import InvalidInput, SrvError
from srv.messages import InferenceRequest, InferenceResponse, ModelMetadata
from srv.model_settings import Spec

_JSON = {"Content-Type": "application/json"}
_NOT_FOUND, _UNAVAILABLE = 404, 503


class HttpTransport:
    """Asks a server over HTTP. `form` is `json`, `binary`, or None for binary where the server says that it takes it."""

    def __init__(self, pool: HttpPool, form: str | None) -> None:
        self.url = pool.url
        self._pool = pool
        self._form = form

    def infer(self, model: str, request: InferenceRequest, call: ClientCall) -> InferenceResponse:
        """Return the response of a model."""
        body, headers = self._body(request, call, binary_outputs=True)
        path = f"{path_of(model, call.version)}/infer"
        with self._pool.request("POST", path, body, {**call.headers, **headers}, call.seconds) as response:
            data, said = self._read(response)
        try:
            return read_response(data, said)
        except (msgspec.MsgspecError, ValueError, InvalidInput) as error:
            raise NotTheProtocol(self.url, f"its response to an inference cannot be read ({error})") from None

    def stream(self, model: str, request: InferenceRequest, call: ClientCall) -> Iterator[InferenceResponse]:
        """Yield the responses of a model that streams."""
        body, headers = self._body(request, call, binary_outputs=False)
        for data, said in self._events(f"{path_of(model, call.version)}/infer_stream", body, headers, call):
            try:
                yield read_response(data, said)
            except (msgspec.MsgspecError, ValueError, InvalidInput) as error:
                raise NotTheProtocol(self.url, f"an event of its stream cannot be read ({error})") from None

    def generate(self, model: str, text: str, parameters: Mapping[str, Any], call: ClientCall) -> str:
        """Return the text that a model makes of a text."""
        path = f"{path_of(model, call.version)}/generate"
        return self._text_of(self._ask("POST", path, call, {"text_input": text, "parameters": dict(parameters)}))

    def generate_stream(self, model: str, text: str, parameters: Mapping[str, Any], call: ClientCall) -> Iterator[str]:
        """Yield the pieces of such a text as they come."""
        body = orjson.dumps({"text_input": text, "parameters": dict(parameters)})
        for data, _ in self._events(f"{path_of(model, call.version)}/generate_stream", body, _JSON, call):
            yield self._text_of(self._parsed(data))

    def metadata(self, model: str, call: ClientCall) -> ModelMetadata:
        """Return what a model says of itself."""
        said = self._ask("GET", path_of(model, call.version), call)
        try:
            return ModelMetadata(
                name=said["name"],
                versions=tuple(said.get("versions") or ()),
                platform=said.get("platform", ""),
                inputs=tuple(map(_spec, said.get("inputs") or ())),
                outputs=tuple(map(_spec, said.get("outputs") or ())),
                parameters=said.get("parameters") or {},
            )
        except (KeyError, TypeError, AttributeError):
            raise NotTheProtocol(self.url, "its metadata of a model cannot be read") from None

    def server(self, call: ClientCall) -> Mapping[str, Any]:
        """Return name, version and extensions of the server."""
        return self._object(self._ask("GET", "/v2", call))

    def is_live(self, call: ClientCall) -> bool:
        """Whether the server is alive."""
        return self._is_well("/v2/health/live", call)

    def is_ready(self, model: str | None, call: ClientCall) -> bool:
        """Whether the server, or a model, is ready."""
        return self._is_well("/v2/health/ready" if model is None else f"{path_of(model, call.version)}/ready", call)

    def index(self, call: ClientCall) -> list[Mapping[str, Any]]:
        """Return a row for each version of a model."""
        rows = self._ask("POST", "/v2/repository/index", call, {})
        return [self._object(row) for row in rows] if isinstance(rows, list) else []

    def control(self, model: str, action: str, call: ClientCall) -> None:
        """`load` or `unload` a model."""
        self._ask("POST", f"/v2/repository/models/{quote(model, safe='')}/{action}", call, {})

    def statistics(self, model: str | None, call: ClientCall) -> list[Mapping[str, Any]]:
        """Return the statistics of a model, or of all."""
        path = "/v2/models/stats" if model is None else f"{path_of(model, call.version)}/stats"
        rows: list[Mapping[str, Any]] = self._object(self._ask("GET", path, call)).get("model_stats", [])
        return rows

    def config(self, model: str, call: ClientCall) -> Mapping[str, Any]:
        """Return the configuration of a model."""
        return self._object(self._ask("GET", f"{path_of(model, call.version)}/config", call))

    def call(self, method: str, path: str, document: Any, call: ClientCall) -> Any:
        """ClientCall any other path, such as a route of a model's runtime; return its JSON, or its bytes where it is none."""
        is_raw = document is None or isinstance(document, bytes)
        body = document if is_raw else orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
        headers = {**call.headers, **({} if is_raw else _JSON)}
        with self._pool.request(method, path, body, headers, call.seconds) as response:
            data, said = self._read(response)
        return self._parsed(data) if said.get("content-type", "").startswith("application/json") else bytes(data)

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    # -- one exchange ---------------------------------------------------------------------------------------------------

    def _ask(self, method: str, path: str, call: ClientCall, document: Any = None) -> Any:
        body = None if document is None else orjson.dumps(document)
        with self._pool.request(
            method, path, body, {**call.headers, **({} if body is None else _JSON)}, call.seconds
        ) as response:
            data, _ = self._read(response)
        return self._parsed(data) if data else {}

    def _read(self, response: urllib3.BaseHTTPResponse) -> tuple[bytes, Mapping[str, str]]:
        """Return body and headers of a response, names in lower case. Raises the error that it stands for."""
        data = response.read()
        headers = {name.lower(): value for name, value in response.headers.items()}
        if not 200 <= response.status < 300:
            raise failure_of(response.status, headers, data, self.url)
        return data, headers

    def _is_well(self, path: str, call: ClientCall) -> bool:
        with self._pool.request("GET", path, None, call.headers, call.seconds) as response:
            status, data = response.status, response.read()
        if status in (200, _UNAVAILABLE):
            return status == 200
        raise failure_of(status, {}, data, self.url)

    def _events(
        self, path: str, body: Parts | bytes, headers: Mapping[str, str], call: ClientCall
    ) -> Iterator[tuple[bytes, Mapping[str, str]]]:
        """Yield the data of each event. Raises the error that an event tells."""
        with self._pool.request("POST", path, body, {**call.headers, **headers}, call.seconds) as response:
            if not 200 <= response.status < 300:
                self._read(response)
            said = {name.lower(): value for name, value in response.headers.items()}
            for data in events(pieces_of(response)):
                failed = _failure(data)
                if failed is not None:
                    raise failure_of(500, said, failed, self.url)
                yield data, said

    def _body(
        self, request: InferenceRequest, call: ClientCall, *, binary_outputs: bool
    ) -> tuple[Parts | bytes, Mapping[str, str]]:
        """Return body and headers of a request, in the form that the client was told or the server takes.

        What JSON cannot say goes as binary data all the same, unless the client was told otherwise.
        """
        if self._is_binary(call) and request.inputs and not all(tensor.missing for tensor in request.inputs):
            return as_binary(request, binary_outputs=binary_outputs)
        try:
            return as_json(request), _JSON
        except NoJsonForm:
            if self._form == "json":
                raise
            return as_binary(request, binary_outputs=binary_outputs)

    def _is_binary(self, call: ClientCall) -> bool:
        """Whether requests go in the binary form; asked of the server once."""
        if self._form is None:
            try:
                extensions = self.server(call).get("extensions") or ()
            except SrvError as error:
                if not isinstance(error, NotTheProtocol) and error.retry_after is None and error.code != "NOT_FOUND":
                    raise
                extensions = ()
            self._form = "binary" if "binary_tensor_data" in extensions else "json-or-binary"
        return self._form == "binary"

    def _parsed(self, data: bytes) -> Any:
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError:
            raise NotTheProtocol(self.url, "its answer is no JSON") from None

    def _object(self, said: Any) -> Mapping[str, Any]:
        if not isinstance(said, dict):
            raise NotTheProtocol(self.url, "its answer is no JSON object")
        return said

    def _text_of(self, said: Any) -> str:
        text = self._object(said).get("text_output")
        if not isinstance(text, str):
            raise NotTheProtocol(self.url, "its answer has no text_output")
        return text


def path_of(model: str, version: str | None) -> str:
    """Return the path of a model."""
    path = f"/v2/models/{quote(model, safe='')}"
    return path if version is None else f"{path}/versions/{quote(version, safe='')}"


def _failure(data: bytes) -> bytes | None:
    """Return an event's data where it tells an error; None for any other."""
    if b'"error"' not in data:
        return None
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return data if isinstance(document, dict) and "error" in document and "outputs" not in document else None


def _spec(said: Mapping[str, Any]) -> Spec:
    shape = said.get("shape")
    return Spec(
        datatype=said.get("datatype") or None,
        shape=None if shape is None else tuple(map(int, shape)),
        name=said["name"],
        parameters=said.get("parameters") or {},
    )
