"""Which codec makes an output: what the client asks for, then the model's, then the type hint's, then the value's."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from srv.codec import InputCodec, RequestCodec
from srv.codecs import Codecs
from srv.errors import InvalidInput, ModelError, SrvError, quoted
from srv.inference.decoding import CONTENT_TYPE, DEFAULT, SETTINGS, Declared, content_type_of
from srv.inference.request_validation import select_outputs
from srv.inference.signatures import OUTPUT, Signature
from srv.inference.unencodable_values import advice_for, kind_of
from srv.messages import InferenceRequest, InferenceResponse
from srv.tensors import Tensor

#: What the sentences say that a method did, before what it gave.
_GAVE: Mapping[str, tuple[str, str]] = {
    "predict": ("predict returned", "return"),
    "predict_stream": ("predict_stream yielded", "yield"),
}


class Unencodable(ModelError):
    """A method gave what no codec takes."""

    def __init__(self, method: str, value: object, place: str) -> None:
        super().__init__(
            f"{_GAVE[method][0]} {kind_of(value)}{place}, which no installed codec can encode{advice_for(value)}."
        )


class NotAsDeclared(ModelError):
    """A method gave what the codec that the model's settings declare does not take."""

    def __init__(self, method: str, value: object, name: str, content_type: str) -> None:
        super().__init__(
            f"{_GAVE[method][0]} {kind_of(value)} for the output '{name}', which the content type '{content_type}' of "
            f"{SETTINGS} cannot encode."
        )


class Unsendable(ModelError):
    """A method gave a value of a type that a codec takes, with something in it that cannot be sent."""

    def __init__(self, method: str, error: SrvError) -> None:
        super().__init__(f"{_GAVE[method][0]} what cannot be sent. {error}")


class UnnamedOutputs(ModelError):
    """A method gave several values without names."""

    def __init__(self, method: str, what: str) -> None:
        gave, give = _GAVE[method]
        super().__init__(
            f"{gave} {what}, which gives its outputs no names; {give} a dict, a NamedTuple or a dataclass."
        )


class OutputLacking(ModelError):
    """A method gave a value without one of the outputs that its return hint, or its own class, declares."""

    def __init__(self, method: str, value: object, name: str, declared_by: str) -> None:
        super().__init__(
            f"{_GAVE[method][0]} {type(value).__name__} without the output '{name}', which its {declared_by} declares; an "
            "output that may be missing is hinted with '| None', or as a TypedDict's key with NotRequired."
        )


class NoOutput(InvalidInput):
    """The client asks for an output that the model left out of this answer, as its return hint allows."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Output {quoted(name)} has no value in the answer to this request, which the model allows; ask for the "
            "outputs without it, or for none by name."
        )


class OutputNotGiven(ModelError):
    """The client asks for an output that the model's metadata declare, and the answer lacks it."""

    def __init__(self, method: str, name: str) -> None:
        super().__init__(f"{method} gave no output '{name}', which the model declares and the request asks for.")


class NotAsAsked(InvalidInput):
    """The client asks for an output as a content type that the output's value has no form in."""

    def __init__(self, name: str, content_type: str) -> None:
        super().__init__(f"Output {quoted(name)} cannot be encoded as content type '{content_type}'.")


class Encoding:
    """Makes responses of what one method of a model returns. `declared` are the codecs that the metadata choose.

    The outputs of `due` are declared by the settings or the runtime.
    """

    def __init__(
        self,
        codecs: Codecs,
        signature: Signature,
        declared: Mapping[str, Declared],
        *,
        method: str = "predict",
        due: Collection[str] = (),
    ) -> None:
        self._method = method
        self._codecs = codecs
        self._hinted = signature.encoders
        self._whole = signature.whole
        self._may_be_none = signature.may_be_none
        self._needed = signature.needed
        self._due = due
        self._declared = declared
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
        """Return the response that says a value. Raises a ModelError that names the type where no codec takes it, or the output
        that the return hint declares and the value lacks.
        """
        if isinstance(value, InferenceResponse):
            return value
        response = self._response(value)
        if self._needed:
            given = {tensor.name for tensor in response.outputs}
            for name in self._needed:
                if name not in given:
                    raise OutputLacking(self._method, value, name, "return hint")
        return response

    def selected(self, request: InferenceRequest, response: InferenceResponse) -> Sequence[Tensor]:
        """Return the outputs that the request asks for, as the content types that it asks for.

        Raises NotAsAsked, NoOutput, OutputNotGiven or UnknownOutput.
        """
        if request.outputs and (self._may_be_none or self._due):
            given = {tensor.name for tensor in response.outputs}
            for output in request.outputs:
                if output.name in given:
                    continue
                if output.name in self._may_be_none:
                    raise NoOutput(output.name)
                if output.name in self._due:
                    raise OutputNotGiven(self._method, output.name)
        return self._as_asked(request, select_outputs(request, response))

    def _response(self, value: Any) -> InferenceResponse:
        if self._whole is not None and self._whole.can_encode(value):
            return self._of_whole(self._whole, value)
        if isinstance(value, np.ndarray):
            return InferenceResponse([self._tensor(OUTPUT, value, "")])
        if isinstance(value, Mapping):
            return self._named(value)
        if isinstance(value, Tensor):
            return InferenceResponse([value])
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return self._named({field.name: self._field(value, field.name) for field in dataclasses.fields(value)})
        if isinstance(value, tuple):
            if hasattr(value, "_fields"):
                return self._named(dict(zip(value._fields, value, strict=True)))
            raise UnnamedOutputs(self._method, "a bare tuple")
        if isinstance(value, list) and value and isinstance(value[0], np.ndarray | Tensor):
            raise UnnamedOutputs(self._method, "a list of arrays")
        return self._only(value)

    def _as_asked(self, request: InferenceRequest, outputs: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return the outputs, those anew for which the request names another content type. Raises NotAsAsked."""
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

    def _only(self, value: Any) -> InferenceResponse:
        """Return the response whose one output a value is, or the one that a request codec makes of it."""
        if value is None and OUTPUT in self._may_be_none:
            return InferenceResponse([])
        codec = self._codec(OUTPUT, value)
        if codec is not None:
            return InferenceResponse([self._output(codec, OUTPUT, value)])
        part = self._part(OUTPUT, value)
        if part is not None:
            return InferenceResponse([part])
        request_codec = self._codecs.request_for_value(value)
        if request_codec is not None:
            return self._of_whole(request_codec, value)
        raise Unencodable(self._method, value, "")

    def _as(self, tensor: Tensor, content_type: str) -> Tensor:
        if tensor.parameters.get(CONTENT_TYPE) == content_type:
            return tensor
        codec = self._codecs.input(content_type)
        for value in _readings(tensor, self._codecs):
            if codec.can_encode(value):
                return codec.encode(tensor.name, value)
        raise NotAsAsked(tensor.name, content_type)

    def _field(self, value: Any, name: str) -> Any:
        """Return a field of a dataclass, which has none where nothing has set it."""
        try:
            return getattr(value, name)
        except AttributeError:
            raise OutputLacking(self._method, value, name, "class") from None

    def _named(self, values: Mapping[Any, Any]) -> InferenceResponse:
        outputs = []
        for name, value in values.items():
            if not isinstance(name, str):
                raise UnnamedOutputs(self._method, f"a dict with the key {name!r}")
            if value is None and name in self._may_be_none:
                continue
            outputs.append(self._tensor(name, value, f" for the output '{name}'"))
        return InferenceResponse(outputs)

    def _tensor(self, name: str, value: Any, place: str) -> Tensor:
        if type(value) is np.ndarray and value.dtype.kind in "biuf" and name not in self._not_np:
            try:
                return self._encode_array(name, value)  # without asking all codecs, because nearly every answer is one
            except SrvError as error:
                raise Unsendable(self._method, error) from error
        if isinstance(value, Tensor):
            return value
        codec = self._codec(name, value)
        if codec is not None:
            return self._output(codec, name, value)
        part = self._part(name, value)
        if part is None:
            raise Unencodable(self._method, value, place)
        return part

    def _part(self, name: str, value: Any) -> Tensor | None:
        """Return the tensor of a value that is part of a request codec's values, such as a column of a table; else None."""
        for codec in self._codecs.requests():
            try:
                part = codec.encode_part(name, value)
            except SrvError as error:
                raise Unsendable(self._method, error) from error
            if part is not None:
                return part
        return None

    def _codec(self, name: str, value: Any) -> InputCodec | None:
        declared = self._declared.get(name)
        if declared is not None:
            if declared.codec.can_encode(value):
                return declared.codec
            if declared.declared_by == SETTINGS:  # the operator's word, where the author's may be of another such value
                raise NotAsDeclared(self._method, value, name, declared.codec.content_type)
        hinted = self._hinted.get(name)
        return hinted if hinted is not None and hinted.can_encode(value) else self._codecs.for_value(value)

    def _output(self, codec: InputCodec, name: str, value: Any) -> Tensor:
        try:
            return codec.encode(name, value)
        except SrvError as error:
            raise Unsendable(self._method, error) from error

    def _of_whole(self, codec: RequestCodec, value: Any) -> InferenceResponse:
        try:
            return codec.encode_response(value)
        except SrvError as error:
            raise Unsendable(self._method, error) from error


def _readings(tensor: Tensor, codecs: Codecs) -> Iterator[Any]:
    """Return what an output may mean in Python: by its own content type, as it is, as a list, as a list of texts."""
    content_type = tensor.parameters.get(CONTENT_TYPE)
    if isinstance(content_type, str):
        with suppress(InvalidInput):  # the author's own word, which nobody has checked
            yield codecs.input(content_type).decode(tensor)
    yield tensor.data
    if len(tensor.shape) != 1:
        return
    yield tensor.data.tolist()
    if tensor.datatype == "BYTES" and not tensor.missing:
        with suppress(UnicodeDecodeError):
            yield [element.decode() for element in tensor.data]
