"""Which codec reads an input: the request's content type, then the metadata's, then the type hint's, then np."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from srv.codec import InputCodec
from srv.codecs import Codecs
from srv.errors import InvalidInput, quoted
from srv.messages import InferenceRequest
from srv.model_settings import ModelSettings, Spec
from srv.tensors import Parameters, Tensor

CONTENT_TYPE = "content_type"
DEFAULT = "np"
#: The content type whose elements are base64 text in every form.
BASE64 = "base64"
#: How sentences call the model's settings, as who declares something.
SETTINGS = "the model's settings"


class BadContentType(InvalidInput):
    """`content_type` is there and is not text."""

    def __init__(self, where: str) -> None:
        super().__init__(f"{where}: parameters.content_type must be a string.")


class Declared(NamedTuple):
    """The codec that the metadata declare for a tensor, and who says so: the settings, or what `load` sets."""

    codec: InputCodec
    declared_by: str


def declared_codecs(
    codecs: Codecs, settings: Sequence[Spec] | None, runtime: Sequence[Spec] | None, *, kind: str
) -> dict[str, Declared]:
    """Return the codecs of the content types that the settings or the runtime's Specs declare, by the tensors' names.

    `kind` is "input" or "output". The settings decide first. Raises InvalidInput for a content type that is none.
    """
    found: dict[str, Declared] = {}
    for specs, declared_by in ((settings, SETTINGS), (runtime, f"self.{kind}s")):
        for spec in specs or ():
            content_type = content_type_of(spec.parameters, f"{kind.capitalize()} {quoted(spec.name)}")
            if content_type is not None and spec.name not in found:
                found[spec.name] = Declared(codecs.input(content_type), declared_by)
    return found


class Decoding:
    """The choice of codec for one model. Content types of the model's metadata are looked up once, at load.

    `by_runtime` are the inputs that the runtime declares, in `load` at the latest.
    """

    def __init__(self, codecs: Codecs, settings: ModelSettings, by_runtime: Sequence[Spec] | None = None) -> None:
        self._codecs = codecs
        self._declared = declared_codecs(codecs, settings.inputs, by_runtime, kind="input")
        #: The codec for inputs where request, metadata and hints choose none.
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

    def share(self, names: Sequence[str], only: str) -> bool:
        """Read the input `only` with the codec that is declared under the first of these names, all of which are its own.

        Return whether it was read with another one before.
        """
        chosen = next((self._declared[name] for name in names if name in self._declared), None)
        if chosen is None:
            return False
        before = self._declared.get(only)
        self._declared.update(dict.fromkeys((*names, only), chosen))
        return before is not chosen

    def declared(self, name: str) -> InputCodec | None:
        """Return the codec that the metadata choose for an input, or the settings for all; None where both leave it open."""
        declared = self._declared.get(name)
        if declared is not None:
            return declared.codec
        return self.whole_declared if isinstance(self.whole_declared, InputCodec) else None

    def declared_by(self, name: str) -> str:
        """Return who chooses the codec of `declared`, for sentences."""
        return self._declared[name].declared_by if name in self._declared else SETTINGS

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
        """Return the request with the metadata's content type on each input that has none of its own."""
        if not self._declared:
            return request
        inputs = []
        for tensor in request.inputs:
            declared = self._declared.get(tensor.name)
            if declared is not None and CONTENT_TYPE not in tensor.parameters:
                parameters = {**tensor.parameters, CONTENT_TYPE: declared.codec.content_type}
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
        """Decide by the content type of the input, the request or the metadata, else by predict's hint."""
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
