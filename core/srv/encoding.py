"""Which codec makes an output: what the client asks for, then the model's, then the type hint's, then the value's."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from srv.codecs import Codecs
from srv.coding import InputCodec, RequestCodec
from srv.decoding import CONTENT_TYPE, DEFAULT, content_type_of
from srv.errors import InvalidInput, ModelError, SrvError, quoted
from srv.messages import InferenceRequest, InferenceResponse
from srv.modelsettings import Spec
from srv.signatures import OUTPUT, Signature
from srv.tensors import Tensor


class Unencodable(ModelError):
    """predict returned what no codec takes."""

    def __init__(self, value: object, place: str) -> None:
        super().__init__(f"predict returned {_kind(value)}{place}, which no installed codec can encode.")


class NotAsDeclared(ModelError):
    """predict returned what the codec that the model's settings declare does not take."""

    def __init__(self, value: object, name: str, content_type: str) -> None:
        super().__init__(
            f"predict returned {_kind(value)} for the output '{name}', which the content type '{content_type}' of "
            "the model's settings cannot encode."
        )


class Unsendable(ModelError):
    """predict returned a value of a type that a codec takes, with something in it that cannot be sent."""

    def __init__(self, error: SrvError) -> None:
        super().__init__(f"predict returned what cannot be sent. {error}")


class UnnamedOutputs(ModelError):
    """predict returned several values without names."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"predict returned {what}, which gives its outputs no names; return a dict, a NamedTuple or a dataclass."
        )


class NotAsAsked(InvalidInput):
    """The client asks for an output as a content type that the output's value has no form in."""

    def __init__(self, name: str, content_type: str) -> None:
        super().__init__(f"Output {quoted(name)} cannot be encoded as content type '{content_type}'.")


class Encoding:
    """Makes responses of what one method of a model returns. What its settings declare is looked up once, at load."""

    def __init__(self, codecs: Codecs, signature: Signature, declared: Sequence[Spec]) -> None:
        self._codecs = codecs
        self._hinted = signature.encoders
        self._whole = signature.whole
        self._declared: dict[str, InputCodec] = {}
        for spec in declared:
            content_type = spec.parameters.get(CONTENT_TYPE)
            if content_type is not None:
                self._declared[spec.name] = codecs.input(content_type)
        np_codec = codecs.input(DEFAULT)
        self._encode_array = np_codec.encode
        self._not_np = {*self._declared, *(name for name, codec in self._hinted.items() if codec is not np_codec)}

    def check(self, request: InferenceRequest) -> None:
        """Raise InvalidInput where an output is asked for as a content type that no codec provides."""
        for output in request.outputs or ():
            if output.parameters:
                content_type = content_type_of(output.parameters, f"Output {quoted(output.name)}")
                if content_type is not None:
                    self._codecs.input(content_type)

    def response(self, value: Any) -> InferenceResponse:
        """The response that says a value. Raises a ModelError that names the type where no codec takes it."""
        if isinstance(value, InferenceResponse):
            return value
        if self._whole is not None and self._whole.can_encode(value):
            return _whole_response(self._whole, value)
        if isinstance(value, np.ndarray):
            return InferenceResponse([self._tensor(OUTPUT, value, "")])
        if isinstance(value, Mapping):
            return self._named(value)
        if isinstance(value, Tensor):
            return InferenceResponse([value])
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return self._named({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
        if isinstance(value, tuple):
            if hasattr(value, "_fields"):
                return self._named(dict(zip(value._fields, value, strict=True)))
            raise UnnamedOutputs("a bare tuple")
        if isinstance(value, list) and value and isinstance(value[0], np.ndarray | Tensor):
            raise UnnamedOutputs("a list of arrays")
        codec = self._codec(OUTPUT, value)
        if codec is not None:
            return InferenceResponse([_output(codec, OUTPUT, value)])
        request_codec = self._codecs.request_for_value(value)
        if request_codec is not None:
            return _whole_response(request_codec, value)
        raise Unencodable(value, "")

    def as_asked(self, request: InferenceRequest, outputs: Sequence[Tensor]) -> Sequence[Tensor]:
        """The outputs, those anew for which the request names another content type. Raises NotAsAsked."""
        if not request.outputs:
            return outputs
        asked = {
            output.name: output.parameters[CONTENT_TYPE]
            for output in request.outputs
            if CONTENT_TYPE in output.parameters
        }
        if not asked:
            return outputs
        return [self._as(tensor, asked[tensor.name]) if tensor.name in asked else tensor for tensor in outputs]

    def _as(self, tensor: Tensor, content_type: str) -> Tensor:
        if tensor.parameters.get(CONTENT_TYPE) == content_type:
            return tensor
        codec = self._codecs.input(content_type)
        for value in _readings(tensor, self._codecs):
            if codec.can_encode(value):
                return codec.encode(tensor.name, value)
        raise NotAsAsked(tensor.name, content_type)

    def _named(self, values: Mapping[Any, Any]) -> InferenceResponse:
        outputs = []
        for name, value in values.items():
            if not isinstance(name, str):
                raise UnnamedOutputs(f"a dict with the key {name!r}")
            outputs.append(self._tensor(name, value, f" for the output '{name}'"))
        return InferenceResponse(outputs)

    def _tensor(self, name: str, value: Any, place: str) -> Tensor:
        if type(value) is np.ndarray and value.dtype.kind in "biuf" and name not in self._not_np:
            return self._encode_array(name, value)  # without asking all codecs, because nearly every answer is one
        if isinstance(value, Tensor):
            return value
        codec = self._codec(name, value)
        if codec is None:
            raise Unencodable(value, place)
        return _output(codec, name, value)

    def _codec(self, name: str, value: Any) -> InputCodec | None:
        declared = self._declared.get(name)
        if declared is not None:
            if not declared.can_encode(value):
                raise NotAsDeclared(value, name, declared.content_type)
            return declared
        hinted = self._hinted.get(name)
        return hinted if hinted is not None and hinted.can_encode(value) else self._codecs.for_value(value)


def _output(codec: InputCodec, name: str, value: Any) -> Tensor:
    try:
        return codec.encode(name, value)
    except SrvError as error:
        raise Unsendable(error) from error


def _whole_response(codec: RequestCodec, value: Any) -> InferenceResponse:
    try:
        return codec.encode_response(value)
    except SrvError as error:
        raise Unsendable(error) from error


def _readings(tensor: Tensor, codecs: Codecs) -> Iterator[Any]:
    """What an output may mean in Python: by its own content type, as it is, as a list, as a list of texts."""
    content_type = tensor.parameters.get(CONTENT_TYPE)
    if isinstance(content_type, str):
        with suppress(InvalidInput):  # the author's own word, which nobody has checked
            yield codecs.input(content_type).decode(tensor)
    yield tensor.data
    if len(tensor.shape) != 1:
        return
    yield tensor.data.tolist()
    if tensor.datatype == "BYTES":
        with suppress(UnicodeDecodeError):
            yield [element.decode() for element in tensor.data]


def _kind(value: object) -> str:
    """What a value is, and where it is a list or a dict, what in it is out of the ordinary."""
    match value:
        case np.ndarray():
            return f"ndarray of {value.dtype}"
        case list() | dict() if value:
            inner = list(value.values()) if isinstance(value, dict) else value
            return f"{type(value).__name__} of {_kind(next(filter(_is_odd, inner), inner[0]))}"
        case float() if not math.isfinite(value):
            return str(value)
    return type(value).__name__


def _is_odd(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_is_odd, value.values())) or not all(isinstance(key, str) for key in value)
    if isinstance(value, list):
        return any(map(_is_odd, value))
    if isinstance(value, float):
        return not math.isfinite(value)
    return not (value is None or isinstance(value, str | int | tuple | np.generic | np.ndarray))
