"""Inputs as arguments: the codec that a request or the settings choose must give what the argument's hint names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from srv.codec import InputCodec, RequestCodec
from srv.codecs import Codecs, type_given_by
from srv.errors import InvalidInput, quoted
from srv.inference.decoding import SETTINGS, Decoding
from srv.inference.signatures.arrays import Array, array_among, text_reader
from srv.inference.signatures.elements import element_of, element_of_list
from srv.inference.signatures.errors import BadHint, BadSignature
from srv.inference.signatures.fitting import ANYTHING, content_types, gives, input_codec
from srv.inference.signatures.hints import Hint, shown
from srv.messages import InferenceRequest
from srv.model_settings import Spec
from srv.tensors import Tensor

Decode = Callable[[Tensor], Any]


class UnfitContentType(InvalidInput):
    """The request chooses a content type that gives something else than the model takes."""

    def __init__(self, what: str, codec: InputCodec | RequestCodec, method: str, wanted: str, known: str) -> None:
        super().__init__(
            f"{what} has the content type '{codec.content_type}', which gives {shown(type_given_by(codec))}; the "
            f"model's {method} takes {wanted}, content type {known}."
        )


class UnfitSetting(BadSignature):
    """The settings, or what load sets, choose a content type that gives something else than predict takes."""

    def __init__(
        self,
        what: str,
        codec: InputCodec | RequestCodec,
        method: str,
        wanted: str,
        known: str,
        declared_by: str = SETTINGS,
    ) -> None:
        says = "The settings give" if declared_by == SETTINGS else f"{declared_by} gives"
        super().__init__(
            f"{says} {what} the content type '{codec.content_type}', which gives "
            f"{shown(type_given_by(codec))}; {method} takes {wanted}. Take it out, or say {known}."
        )


class Reading(msgspec.Struct, frozen=True):
    """What a hint says of one input: which codec reads it, and what that codec's value becomes.

    `wanted` is the type that a codec must give, `shown` is the hint as sentences name it. `datatypes` are those that
    the input may have, None for all. `told` is what the metadata tells of it, and `checked` what each request is held
    to beside the datatypes; None for nothing.
    """

    wanted: Any
    shown: str
    codec: InputCodec | None
    datatypes: frozenset[str] | None = None
    told: Spec | None = None
    checked: Spec | None = None
    #: Whether it is one value, so that requests cannot be merged.
    single: bool = False
    #: The values that it takes; empty for any of its datatype.
    choices: tuple[Any, ...] = ()
    compile: Callable[[InputCodec], Decode] = lambda codec: codec.decode

    @property
    def unnamed(self) -> InputCodec | None:
        """The codec that reads the input where no content type is named."""
        return self.codec and (self.codec.unnamed or self.codec)


UNHINTED = Reading(Any, "", None)


def reading_of(name: str, hint: Hint, codecs: Codecs) -> Reading | None:
    """Return what a hint says of an input of one tensor; None where it means something else.

    Raises BadHint for what no tensor can be.
    """
    if hint.type in ANYTHING:
        return UNHINTED
    codec = input_codec(hint.type, codecs)
    if codec is not None:
        array = array_among(hint.type) or Array(None if codec.datatype is None else frozenset({codec.datatype}))
        told = told_of(name, hint, array.datatype, array.shape, array.datatypes)
        checked = told or (Spec(None, array.shape, name) if array.shape is not None else None)
        datatypes = array.datatypes if told is None or told.datatype is None else frozenset({told.datatype})
        reading = Reading(hint.type, shown(hint.type), codec, datatypes, told, checked)
        text = array.text
        if text is None:
            return reading
        return msgspec.structs.replace(reading, compile=lambda codec: text_reader(codec, text))
    element, single = element_of(hint.type, codecs), True
    if element is None:
        element, single = element_of_list(hint.type, codecs), False
    if element is None:
        return None
    told = told_of(name, hint, element.datatype, (1,) if single else (-1,), element.datatypes)
    said = hint.spec or Spec()
    _check_shape(said.shape, hint, single=single)
    optional = hint.optional
    return Reading(
        element.wanted,
        element.shown if single else f"a list of {element.shown}",
        codecs.input_for_hint(element.wanted),
        element.datatypes if said.datatype is None else frozenset({said.datatype}),
        told,
        None if single or said.shape is None else Spec(None, said.shape, name),
        single,
        element.choices,
        (lambda codec: element.reader(codec, optional=optional)) if single else element.list_reader,
    )


def _check_shape(shape: tuple[int, ...] | None, hint: Hint, *, single: bool) -> None:
    """Raise BadHint for a Spec's shape that no single value, or flat list, has."""
    if shape is None:
        return
    if single and (len(shape) > 2 or not {*shape} <= {1, -1}):
        raise BadHint(
            f"{shown(hint.type)}, one value, and its Spec says the shape {list(shape)}; write a list or an array"
        )
    if not single and len(shape) != 1 and not (len(shape) == 2 and shape[1] in (1, -1)):
        raise BadHint(f"{shown(hint.type)}, a flat list, and its Spec says the shape {list(shape)}; write an array")


def told_of(
    name: str, hint: Hint, datatype: str | None, shape: tuple[int, ...] | None, datatypes: frozenset[str] | None
) -> Spec | None:
    """Return what the metadata tells of an input or output; nothing where several datatypes are possible and no Spec stands."""
    spec = hint.spec
    if spec is None:
        return Spec(datatype, shape, name) if datatype is not None else None
    if spec.datatype is not None and datatypes is not None and spec.datatype not in datatypes:
        raise BadHint(f"{shown(hint.type)}, which is not {spec.datatype}, as its Spec says")
    return Spec(spec.datatype or datatype, shape if spec.shape is None else spec.shape, name, spec.parameters)


class InputReader:
    """Reads one input. The codec for requests that choose no content type is decided once, at load.

    Raises UnfitSetting where the metadata choose one that gives something else than the hint names.
    """

    def __init__(self, name: str, reading: Reading, method: str, codecs: Codecs, decoding: Decoding) -> None:
        self._name = name
        self._reading = reading
        self._method = method
        self._codecs = codecs
        self._decoding = decoding
        declared = decoding.declared(name)
        if declared is not None and not gives(declared, reading.wanted):
            raise UnfitSetting(
                f"input '{name}'", declared, method, reading.shown, self._known(), decoding.declared_by(name)
            )
        #: Reads the input of a request that chooses no content type.
        self.usual: Decode = reading.compile(declared or reading.unnamed or decoding.default)
        self._chosen: dict[str, Decode] = {}

    def __call__(self, request: InferenceRequest, tensor: Tensor) -> Any:
        """Return the input's value. Raises UnfitContentType where the request's choice gives something else than is hinted."""
        content_type = self._decoding.asked(request, tensor)
        if content_type is None:
            return self.usual(tensor)
        decode = self._chosen.get(content_type)
        return (decode or self._choose(content_type))(tensor)

    def _choose(self, content_type: str) -> Decode:
        codec = self._codecs.input(content_type)
        if not gives(codec, self._reading.wanted):
            what = f"Input {quoted(self._name)}"
            raise UnfitContentType(what, codec, self._method, self._reading.shown, self._known())
        decode = self._reading.compile(codec)
        self._chosen[content_type] = decode
        return decode

    def _known(self) -> str:
        return content_types(self._codecs.inputs(), self._reading.wanted)


class WholeReader:
    """Reads a whole request. Raises UnfitSetting where the settings choose a codec that gives another type than hinted."""

    def __init__(self, hint: Any, codec: RequestCodec, method: str, codecs: Codecs, decoding: Decoding) -> None:
        self._hint = hint
        self._method = method
        self._codecs = codecs
        self._decoding = decoding
        declared = decoding.whole_declared
        if declared is not None and not (isinstance(declared, RequestCodec) and gives(declared, hint)):
            raise UnfitSetting("the whole request", declared, method, shown(hint), self._known())
        self._usual = codec if declared is None else declared

    def __call__(self, request: InferenceRequest) -> Any:
        """Return the request's value. Raises UnfitContentType where its content type gives something else than is hinted."""
        content_type = self._decoding.asked_whole(request)
        codec: InputCodec | RequestCodec = self._usual if content_type is None else self._codecs.codec(content_type)
        if not (codec is self._usual or (isinstance(codec, RequestCodec) and gives(codec, self._hint))):
            raise UnfitContentType("The request", codec, self._method, shown(self._hint), self._known())
        assert isinstance(codec, RequestCodec)
        return codec.decode_request(self._decoding.as_declared(request))

    def _known(self) -> str:
        return content_types(self._codecs.requests(), self._hint)
