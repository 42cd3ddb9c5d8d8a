"""Which codec reads an input: the request's content type, then the model's, then the type hint's, then np."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from srv.codec import InputCodec
from srv.codecs import Codecs
from srv.errors import InvalidInput, quoted
from srv.messages import InferenceRequest
from srv.model_settings import ModelSettings
from srv.tensors import Parameters, Tensor

CONTENT_TYPE = "content_type"
DEFAULT = "np"
#: The content type whose elements are base64 text in every form.
BASE64 = "base64"


class BadContentType(InvalidInput):
    """`content_type` is there and is not text."""

    def __init__(self, where: str) -> None:
        super().__init__(f"{where}: parameters.content_type must be a string.")


class Decoding:
    """The choice of codec for one model. Content types of the model's settings are looked up once, at load."""

    def __init__(self, codecs: Codecs, settings: ModelSettings) -> None:
        self._codecs = codecs
        self._declared: dict[str, InputCodec] = {}
        for spec in settings.inputs or ():
            content_type = spec.parameters.get(CONTENT_TYPE)
            if content_type is not None:
                self._declared[spec.name] = codecs.input(content_type)
        #: The codec for inputs where request, settings and hints choose none.
        self.default = codecs.input(DEFAULT)
        whole = settings.parameters.content_type
        #: What the settings choose for whole requests.
        self.whole_declared = codecs.codec(whole) if whole is not None else None

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

    def apply_settings(self, *, of: str, to: str) -> bool:
        """Read input `to` with the codec that the settings choose for `of`, which is its name there.

        False where the settings choose none.
        """
        if of not in self._declared or to in self._declared:
            return False
        self._declared[to] = self._declared[of]
        return True

    def declared(self, name: str) -> InputCodec | None:
        """Return the codec that the settings choose for an input, or for all; None where they leave that open."""
        codec = self._declared.get(name)
        if codec is None and isinstance(self.whole_declared, InputCodec):
            codec = self.whole_declared
        return codec

    def asked(self, request: InferenceRequest, tensor: Tensor) -> str | None:
        """Return the content type that the request chooses for an input; None where it leaves that open."""
        content_type: str | None = tensor.parameters.get(CONTENT_TYPE) if tensor.parameters else None
        if content_type is None and request.parameters:
            content_type = request.parameters.get(CONTENT_TYPE)
            if content_type is not None and not self._codecs.has_input(content_type):
                content_type = None
        return content_type

    def asked_whole(self, request: InferenceRequest) -> str | None:
        """Return the content type that the request chooses for all of itself; None where it leaves that open."""
        return request.parameters.get(CONTENT_TYPE) if request.parameters else None

    def value(self, request: InferenceRequest, tensor: Tensor) -> Any:
        """Return the tensor's value through the codec that applies to it."""
        content_type = self.asked(request, tensor)
        if content_type is not None:
            return self._codecs.input(content_type).decode(tensor)
        return (self.declared(tensor.name) or self.default).decode(tensor)

    def as_declared(self, request: InferenceRequest) -> InferenceRequest:
        """Return the request with the settings' content type on each input that has none of its own."""
        if not self._declared:
            return request
        inputs = []
        for tensor in request.inputs:
            codec = self._declared.get(tensor.name)
            if codec is not None and CONTENT_TYPE not in tensor.parameters:
                parameters = {**tensor.parameters, CONTENT_TYPE: codec.content_type}
                tensor = Tensor.trusted(tensor.name, tensor.data, tensor.datatype, parameters, missing=tensor.missing)
            inputs.append(tensor)
        request = copy.copy(request)
        request.inputs = inputs
        return request


class BinaryInputs:
    """Tells whether the codec of an input of one model takes plain bytes, which are base64 in JSON."""

    def __init__(
        self, codecs: Codecs, decoding: Decoding, hinted: Mapping[str, InputCodec], only: InputCodec | None = None
    ) -> None:
        self._codecs = codecs
        self._decoding = decoding
        self._hinted = hinted
        #: The codec of a model's only input, where that may have any name.
        self._only = only

    def __call__(self, name: str, parameters: Parameters, of_request: Parameters | None) -> bool:
        """Decide by the content type of the input, the request or the settings, else by predict's hint."""
        for said in (parameters, of_request):
            content_type = said.get(CONTENT_TYPE) if said else None
            if content_type is not None and (said is parameters or self._codecs.is_for_one(content_type)):
                return self._codecs.is_binary(content_type)
        codec = self._decoding.declared(name) or self._only or self._hinted.get(name)
        return codec is not None and codec.binary


def content_type_of(parameters: Parameters, where: str) -> str | None:
    """Return what the parameters say, if anything. Raises BadContentType where that is not text."""
    content_type = parameters.get(CONTENT_TYPE) if parameters else None
    if content_type is not None and not isinstance(content_type, str):
        raise BadContentType(where)
    return content_type
