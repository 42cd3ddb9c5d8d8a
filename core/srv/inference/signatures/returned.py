"""Return hints: the outputs that they declare, and the codecs that make them."""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Generator,
    Iterable,
    Iterator,
    Mapping,
)
from typing import Any, get_args, get_origin

import msgspec
import numpy as np

from srv.codec import InputCodec, RequestCodec
from srv.codecs import Codecs
from srv.inference.signatures.arrays import Array, array_of
from srv.inference.signatures.elements import ElementCodec, element_of, element_of_list
from srv.inference.signatures.errors import BadHint
from srv.inference.signatures.hints import Hint, shown, unwrapped
from srv.inference.signatures.reading import told_of
from srv.inference.signatures.records import outputs_of
from srv.messages import InferenceResponse
from srv.model_settings import Spec

OUTPUT = "output"
_ITERATORS = (Iterator, Generator, AsyncIterator, AsyncIterable, AsyncGenerator)


class Returned(msgspec.Struct, frozen=True):
    """The outputs that a return hint declares, and the codecs that make them.

    `optional` are the outputs that may be missing, or None, which are left out then; `needed` are a record's others.
    """

    outputs: tuple[Spec, ...] = ()
    encoders: Mapping[str, InputCodec] = msgspec.field(default_factory=dict)
    whole: RequestCodec | None = None
    optional: frozenset[str] = frozenset()
    needed: tuple[str, ...] = ()

    @property
    def codecs(self) -> frozenset[InputCodec | RequestCodec]:
        """The codecs that the hint names."""
        made = (codec.made_by if isinstance(codec, ElementCodec) else codec for codec in self.encoders.values())
        return frozenset([*made, *([self.whole] if self.whole is not None else [])])


def read_returned(hint: Any, codecs: Codecs, *, streams: bool) -> Returned:
    """Return what the return hint declares; nothing where it is missing or no codec makes its type.

    For a method that streams, the hint is that of each response. Raises BadHint where any other method returns an iterator.
    """
    kind = unwrapped(hint)
    many = get_origin(kind.type) in _ITERATORS
    if many and not streams:
        raise BadHint(
            f"{shown(kind.type)}, which is many answers. Call the method predict_stream, or return one answer"
        )
    if many or (streams and get_origin(kind.type) is Iterable):
        kind = unwrapped(get_args(kind.type)[0])
    if kind.type in (None, type(None), InferenceResponse):
        return Returned()
    if get_origin(kind.type) is tuple:
        raise BadHint(
            f"{shown(kind.type)}, which gives its outputs no names; use a NamedTuple, a dataclass or a TypedDict"
        )
    whole = codecs.request_for_hint(kind.type)
    if whole is not None and _output(OUTPUT, kind, codecs) is None:
        return Returned(whole=whole)
    named = outputs_of(kind.type) if codecs.input_for_hint(kind.type) is None else None
    kinds = {OUTPUT: kind} if named is None else named
    found = {name: _output(name, each, codecs) for name, each in kinds.items()}
    made = {name: output for name, output in found.items() if output is not None}
    optional = frozenset(name for name, each in kinds.items() if each.optional or each.required is False)
    return Returned(
        outputs=tuple(told for _, told in made.values() if told is not None),
        encoders={name: codec for name, (codec, _) in made.items()},
        optional=optional,
        needed=tuple(name for name in named or () if name not in optional),
    )


def _output(name: str, hint: Hint, codecs: Codecs) -> tuple[InputCodec, Spec | None] | None:
    """Return the codec for an output of the hint's type, and the declared Spec, None where only the value can tell.

    None where no codec is known before there is a value.
    """
    array = array_of(hint.type)
    codec = codecs.input_for_hint(hint.type if array is None else np.ndarray)
    if codec is not None:
        array = array or Array(None if codec.datatype is None else frozenset({codec.datatype}))
        return codec, told_of(name, hint, array.datatype, array.shape, array.datatypes)
    element = element_of(hint.type, codecs)
    flat = element is None
    if element is None:
        element = element_of_list(hint.type, codecs)
    base = codecs.input_for_hint(element.wanted) if element is not None else None
    if element is None or base is None:
        return None
    spec = told_of(name, hint, element.datatype, (-1,) if flat else (1,), element.datatypes)
    if spec is not None and spec.datatype != element.datatype:
        element = msgspec.structs.replace(element, datatype=spec.datatype)
    return ElementCodec(element, base, flat=flat), spec
