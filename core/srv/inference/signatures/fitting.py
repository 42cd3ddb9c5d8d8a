"""Codecs for hints: whether the type that a codec gives fits the type that a hint names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar, get_args, get_origin

import numpy as np

from srv.codec import InputCodec, RequestCodec
from srv.codecs import Codecs, type_given_by
from srv.errors import listed
from srv.inference.signatures.arrays import array_of
from srv.inference.signatures.errors import BadHint
from srv.inference.signatures.hints import is_union, shown

#: Hints that any value fits.
ANYTHING = (Any, object)

Codec = TypeVar("Codec", InputCodec, RequestCodec)


def fits(given: Any, wanted: Any) -> bool:
    """Return whether values of type `given` fit the hint `wanted`: the same type, a subclass, or a list whose elements fit."""
    if wanted in ANYTHING or given == wanted:
        return True
    if array_of(wanted) is not None:
        return isinstance(given, type) and issubclass(given, np.ndarray)
    if is_union(wanted):
        return any(fits(given, member) for member in get_args(wanted))
    outer, inner = get_origin(wanted) or wanted, get_args(wanted)
    kind, elements = get_origin(given) or given, get_args(given)
    try:
        if not issubclass(kind, outer):
            return False
    except TypeError:  # one of them is no class, or a Protocol that cannot be asked
        return False
    return not inner or (len(inner) == len(elements) and all(map(fits, elements, inner)))


def gives(codec: InputCodec | RequestCodec, wanted: Any) -> bool:
    """Return whether the type that a codec gives fits a hint."""
    return fits(type_given_by(codec), wanted)


def input_codec(hint: Any, codecs: Codecs) -> InputCodec | None:
    """Return the codec for one tensor that reads what an unwrapped hint names, or None. Raises BadHint where several do."""
    return codecs.input_for_hint(hint if array_of(hint) is None else np.ndarray) or _only(codecs.inputs(), hint)


def request_codec(hint: Any, codecs: Codecs) -> RequestCodec | None:
    """Return the codec for a whole request that reads what a hint names, or None. Raises BadHint where several do."""
    return codecs.request_for_hint(hint) or _only(codecs.requests(), hint)


def content_types(codecs: Iterable[Codec], hint: Any) -> str:
    """Return the content types of the codecs that give what a hint names, as a sentence lists them."""
    return listed(codec.content_type for codec in codecs if gives(codec, hint))


def _only(codecs: Iterable[Codec], hint: Any) -> Codec | None:
    found = [codec for codec in codecs if gives(codec, hint)]
    if len(found) > 1:
        types = listed(shown(type_given_by(codec)) for codec in found)
        raise BadHint(f"{shown(hint)}, which may be any of {types}; hint the one that is meant")
    return found[0] if found else None
