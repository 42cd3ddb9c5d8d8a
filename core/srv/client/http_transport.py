"""The protocol over HTTP: paths, bodies and events."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import msgspec
import orjson

from srv.client.arguments import as_json_bytes
from srv.client.bodies import NoJsonForm, Parts, as_binary, as_json
from srv.client.events import events
from srv.client.failures import NoSuchRoute, NotTheProtocol, failure_of
from srv.client.http_connections import HttpPool, WholeResponse, headers_of, pieces_of
from srv.client.responses import read_response
from srv.client.transport import ClientCall
from srv.errors import InvalidInput, NotFound, Unimplemented
from srv.messages import InferenceRequest, InferenceResponse, ModelMetadata
from srv.model_settings import Spec

_JSON = {"Content-Type": "application/json"}
#: What /ready and /live answer for no: Triton says 400, for a model that it does not know too.
_NOT_WELL = (400, 404, 503)


class HttpTransport:
    """Asks a server over HTTP. `form` is `json`, `binary`, or None for binary where the server says that it takes it."""

    def __init__(self, pool: HttpPool, form: str | None) -> None:
        self.url = pool.url
        self._pool = pool
        self._form = form
        self._found: str | None = None

    def infer(self, model: str, request: InferenceRequest, call: ClientCall) -> InferenceResponse:
        """Return the response of a model."""
        body, headers = self._body(request, call, binary_outputs=True)
        path = f"{path_of(model, call.version)}/infer"
        answer = self._exchange("POST", path, body, {**call.headers, **headers}, call)
        try:
            return read_response(answer.data, answer.headers)
        except (msgspec.MsgspecError, ValueError, TypeError, InvalidInput) as error:
            raise NotTheProtocol(self.url, f"its response to an inference cannot be read ({error})") from None

    def stream(self, model: str, request: InferenceRequest, call: ClientCall) -> Iterator[InferenceResponse]:
        """Yield the responses of a model that streams."""
        body, headers = self._body(request, call, binary_outputs=False)
        for data, said in self._events(f"{path_of(model, call.version)}/infer_stream", body, headers, call):
            try:
                yield read_response(data, said)
            except (msgspec.MsgspecError, ValueError, TypeError, InvalidInput) as error:
                raise NotTheProtocol(self.url, f"an event of its stream cannot be read ({error})") from None

    def generate(self, model: str, text: str, parameters: Mapping[str, Any], call: ClientCall) -> str:
        """Return the text that a model makes of a text."""
        path = f"{path_of(model, call.version)}/generate"
        return self._text_of(self._ask("POST", path, call, {"text_input": text, "parameters": dict(parameters)}))

    def generate_stream(self, model: str, text: str, parameters: Mapping[str, Any], call: ClientCall) -> Iterator[str]:
        """Yield the pieces of such a text as they come."""
        body = as_json_bytes("The request", {"text_input": text, "parameters": dict(parameters)})
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
        except (KeyError, TypeError, ValueError, AttributeError):
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
        """Return a row for each version of a model; of KServe's SDK, which has no index, a row for each model."""
        try:
            rows = self._ask("POST", "/v2/repository/index", call, {})
        except NoSuchRoute:
            names = self._object(self._ask("GET", "/v2/models", call)).get("models", [])
            return [{"name": name, "state": "READY" if self.is_ready(name, call) else "UNAVAILABLE"} for name in names]
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
        """Ask any other path, such as a route of a model's runtime; return its JSON, or its bytes where it is none."""
        is_raw = document is None or isinstance(document, bytes)
        body = document if is_raw else as_json_bytes("The document", document)
        headers = {**call.headers, **({} if is_raw else _JSON)}
        answer = self._exchange(method, path if path.startswith("/") else f"/{path}", body, headers, call)
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        return self._parsed(answer.data) if is_json else bytes(answer.data)

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    # -- one exchange ---------------------------------------------------------------------------------------------------

    def _ask(self, method: str, path: str, call: ClientCall, document: Any = None) -> Any:
        body = None if document is None else as_json_bytes("The request", document)
        data = self._exchange(method, path, body, {**call.headers, **({} if body is None else _JSON)}, call).data
        return self._parsed(data) if data else {}

    def _exchange(
        self, method: str, path: str, body: Parts | bytes | None, headers: Mapping[str, str], call: ClientCall
    ) -> WholeResponse:
        """Return the answer to a request. Raises the error that it stands for."""
        answer = self._pool.ask(method, path, body, headers, call.seconds)
        if not 200 <= answer.status < 300:
            raise failure_of(answer.status, answer.headers, answer.data, self.url)
        return answer

    def _is_well(self, path: str, call: ClientCall) -> bool:
        answer = self._pool.ask("GET", path, None, call.headers, call.seconds)
        if answer.status in (200, *_NOT_WELL):
            return answer.status == 200
        raise failure_of(answer.status, answer.headers, answer.data, self.url)

    def _events(
        self, path: str, body: Parts | bytes, headers: Mapping[str, str], call: ClientCall
    ) -> Iterator[tuple[bytes, Mapping[str, str]]]:
        """Yield the data of each event. Raises the error that an event tells."""
        with self._pool.request("POST", path, body, {**call.headers, **headers}, call.seconds) as response:
            said = headers_of(response)
            if not 200 <= response.status < 300:
                raise failure_of(response.status, said, response.read(), self.url)
            for data in events(pieces_of(response)):
                failed = _failure(data)
                if failed is not None:
                    raise failure_of(500, said, failed, self.url)
                yield data, said

    def _body(
        self, request: InferenceRequest, call: ClientCall, *, binary_outputs: bool
    ) -> tuple[Parts | bytes, Mapping[str, str]]:
        """Return body and headers of a request, in the form that the client was told or the server takes.

        What JSON cannot say goes as binary data all the same, unless the client was told otherwise or the server does not
        say that it takes these.
        """
        form = self._form or self._found_form(call)
        if form == "binary" and request.inputs and not all(tensor.missing for tensor in request.inputs):
            return as_binary(request, binary_outputs=binary_outputs)
        try:
            return as_json(request), _JSON
        except NoJsonForm as error:
            if form == "json" and self._form is None:
                said = (
                    f"{error} {self.url} does not say that it takes binary data; form='binary' sends it all the same."
                )
                raise NoJsonForm(said) from None
            if form == "json":
                raise
            return as_binary(request, binary_outputs=binary_outputs)

    def _found_form(self, call: ClientCall) -> str:
        """Return the form that the server takes, asked of it once; `unknown` where it does not say what it takes."""
        if self._found is None:
            try:
                self._found = _form_of(self.server(call))
            except (NotTheProtocol, NotFound, Unimplemented):
                self._found = "unknown"
        return self._found

    def _parsed(self, data: bytes | bytearray) -> Any:
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


def _form_of(server: Mapping[str, Any]) -> str:
    """Return the form that a server takes by what it says of itself. KServe's SDK has taken binary data since 0.14 unsaid."""
    extensions = server.get("extensions") or ()
    number = re.match(r"(\d+)\.(\d+)", str(server.get("version")))
    is_kserve = server.get("name") == "kserve" and number is not None and (int(number[1]), int(number[2])) >= (0, 14)
    return "binary" if "binary_tensor_data" in extensions or is_kserve else "json"


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
        parameters=dict(said.get("parameters") or {}),
    )
