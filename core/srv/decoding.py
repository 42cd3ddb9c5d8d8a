"""Which codec reads an input: the request's content type, then the model's, then the type hint's, then np."""

from __future__ import annotations

from typing import Any

from srv.codecs import Codecs
from srv.coding import InputCodec, RequestCodec
from srv.errors import InvalidInput
from srv.messages import InferenceRequest
from srv.modelsettings import ModelSettings
from srv.tensors import Tensor

CONTENT_TYPE = "content_type"
DEFAULT = "np"


class BadContentType(InvalidInput):
    """`content_type` is there and is not text."""

    def __init__(self, where: str) -> None:
        super().__init__(f"{where}: parameters.content_type must be a string.")


class Decoding:
    """The choice of codec for one model. Content types of the model's settings are looked up once, at load."""

    def __init__(self, codecs: Codecs, settings: ModelSettings) -> None:
        self._codecs = codecs
        self._whole = settings.parameters.content_type
        self._declared: dict[str, InputCodec] = {}
        for spec in settings.inputs or ():
            content_type = spec.parameters.get(CONTENT_TYPE)
            if content_type is not None:
                self._declared[spec.name] = codecs.input(content_type)
        self._default = codecs.input(DEFAULT)
        self._model_default = self._default
        if self._whole is not None:
            codecs.check(self._whole)
            if codecs.has_input(self._whole):
                self._model_default = codecs.input(self._whole)

    def check(self, request: InferenceRequest) -> None:
        """Raise InvalidInput where the request names a content type that no codec provides."""
        _content_type(request.parameters, "The request", self._codecs)
        for tensor in request.inputs:
            if tensor.parameters:
                _content_type(tensor.parameters, f"Input '{tensor.name}'", self._codecs)

    def declared(self, name: str) -> bool:
        """Whether the model's settings say how to read this input."""
        return name in self._declared or self._model_default is not self._default

    def value(self, request: InferenceRequest, tensor: Tensor, hinted: InputCodec | None = None) -> Any:
        """The tensor's value through the codec that applies to it."""
        content_type = tensor.parameters.get(CONTENT_TYPE) if tensor.parameters else None
        if content_type is None and request.parameters:
            content_type = request.parameters.get(CONTENT_TYPE)
            if content_type is not None and not self._codecs.has_input(content_type):
                content_type = None
        if content_type is not None:
            return self._codecs.input(content_type).decode(tensor)
        codec = self._declared.get(tensor.name)
        if codec is None:
            codec = self._model_default if self._model_default is not self._default else hinted or self._default
        return codec.decode(tensor)

    def whole(self, request: InferenceRequest, hinted: RequestCodec) -> Any:
        """The whole request's value through the request codec that applies to it."""
        for content_type in (request.parameters.get(CONTENT_TYPE), self._whole):
            if content_type is not None and self._codecs.has_request(content_type):
                return self._codecs.request(content_type).decode_request(request)
        return hinted.decode_request(request)


def _content_type(parameters: Any, where: str, codecs: Codecs) -> None:
    content_type = parameters.get(CONTENT_TYPE) if parameters else None
    if content_type is None:
        return
    if not isinstance(content_type, str):
        raise BadContentType(where)
    codecs.check(content_type)
