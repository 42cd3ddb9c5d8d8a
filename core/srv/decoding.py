"""Which codec reads an input: the request's content type, then the model's, then the type hint's, then np."""

from __future__ import annotations

import copy
from typing import Any

from srv.codecs import Codecs
from srv.coding import InputCodec, RequestCodec
from srv.errors import InvalidInput, quoted
from srv.messages import InferenceRequest
from srv.modelsettings import ModelSettings
from srv.tensors import Parameters, Tensor

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
        if request.parameters:
            content_type = content_type_of(request.parameters, "The request")
            if content_type is not None:
                self._codecs.check(content_type)
        for tensor in request.inputs:
            if tensor.parameters:
                content_type = content_type_of(tensor.parameters, f"Input {quoted(tensor.name)}")
                if content_type is not None:
                    self._codecs.check_tensor(content_type)

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
        return self.usual(tensor.name, hinted).decode(tensor)

    def usual(self, name: str, hinted: InputCodec | None = None) -> InputCodec:
        """The codec that applies to an input where the request names no content type."""
        codec = self._declared.get(name)
        if codec is None:
            codec = self._model_default if self._model_default is not self._default else hinted or self._default
        return codec

    def whole(self, request: InferenceRequest, hinted: RequestCodec) -> Any:
        """The whole request's value through the request codec that applies to it."""
        if self._declared:
            request = self._as_declared(request)
        for content_type in (request.parameters.get(CONTENT_TYPE), self._whole):
            if content_type is not None and self._codecs.has_request(content_type):
                return self._codecs.request(content_type).decode_request(request)
        return hinted.decode_request(request)

    def _as_declared(self, request: InferenceRequest) -> InferenceRequest:
        """The request with the settings' content type on each input that has none of its own."""
        inputs = []
        for tensor in request.inputs:
            codec = self._declared.get(tensor.name)
            if codec is not None and CONTENT_TYPE not in tensor.parameters:
                parameters = {**tensor.parameters, CONTENT_TYPE: codec.content_type}
                tensor = Tensor.trusted(tensor.name, tensor.data, tensor.datatype, parameters)
            inputs.append(tensor)
        request = copy.copy(request)
        request.inputs = inputs
        return request


def content_type_of(parameters: Parameters, where: str) -> str | None:
    """What the parameters say, if anything. Raises BadContentType where that is not text."""
    content_type = parameters.get(CONTENT_TYPE) if parameters else None
    if content_type is not None and not isinstance(content_type, str):
        raise BadContentType(where)
    return content_type
