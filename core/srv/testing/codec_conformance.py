"""Conformance of codecs: what every codec must do, as one assertion for its tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from srv.codec import InputCodec, RequestCodec
from srv.discovery import PluginKind, discover
from srv.messages import InferenceRequest
from srv.tensors import DTYPES, Tensor
from srv.testing.codec_carriers import Codec, OneTensor, WholeRequest
from srv.testing.codec_round_trips import DoesNotRoundTrip, Trip, short
from srv.testing.comparing import equal
from srv.testing.transports import FORMS, Form

#: What every codec is asked about, whatever it is for.
_ANY_VALUES: tuple[Any, ...] = (
    None,
    True,
    1,
    1.5,
    "",
    "text",
    b"",
    b"\xff",
    [],
    [None],
    {},
    {"a": [1]},
    np.zeros(2),
    object(),
)


def assert_codec_round_trips(
    codec: type[Codec] | str,
    values: Sequence[Any],
    *,
    wrong: Sequence[Tensor | InferenceRequest] = (),
    same: Callable[[Any, Any], bool] = equal,
    threads: int = 8,
    forms: Sequence[Form] = FORMS,
) -> None:
    """Hold a codec to what every codec must do, by itself and inside a server.

    `codec` is the class, or a content type that is installed. Each of `values` is encoded, sent to a server that
    decodes it, encodes it again and sends it back, and must be the same at the end, as `same` sees it. Each of `wrong`
    is a tensor, or for a request codec a request, that must be refused with InvalidInput and so with a 400. Give empty
    values among `values` where there are any.

    Checked beside that: that `can_encode` answers for any value; that what is encoded says its content type; that
    tensors of every datatype and shape are decoded or refused, and nothing else; `threads` threads at once.
    """
    made = _made(codec)
    if not values:
        raise ValueError("Give at least one value that the codec is for.")
    _check_class(made)
    _check_can_encode(made, values)
    if isinstance(made, InputCodec):
        Trip(made, OneTensor(made), values, wrong, same, forms).check(threads)
    if isinstance(made, RequestCodec):
        Trip(made, WholeRequest(made), values, wrong, same, forms).check(threads)


def _made(codec: type[Codec] | str) -> Codec:
    if isinstance(codec, str):
        found: Any = discover().load(PluginKind.CODEC, codec)
        return _made(found)
    try:
        return codec()
    except TypeError as error:
        raise AssertionError(
            f"{codec.__name__} cannot be made: {error}.\nsrv makes one instance of each codec, without arguments."
        ) from error


def _check_class(codec: Codec) -> None:
    content_type = getattr(codec, "content_type", None)
    if not isinstance(content_type, str) or not content_type or not content_type.isprintable() or " " in content_type:
        raise DoesNotRoundTrip(
            codec,
            f"has the content_type {content_type!r}",
            "Set content_type to the name of its entry point: a str without blanks.",
        )
    if getattr(codec, "type_hint", None) is None:
        raise DoesNotRoundTrip(
            codec, "has no type_hint", "Set type_hint to the type that decode gives, or to its dotted name."
        )
    datatype = getattr(codec, "datatype", None)
    if datatype is not None and datatype not in DTYPES:
        raise DoesNotRoundTrip(
            codec, f"has the datatype {datatype!r}", f"Set datatype to None or to one of {', '.join(DTYPES)}."
        )


def _check_can_encode(codec: Codec, values: Sequence[Any]) -> None:
    advice = "can_encode is asked about every value that any model returns: look at its type, and answer True or False."
    for value in (*_ANY_VALUES, *values):
        try:
            answer = codec.can_encode(value)
        except Exception as error:
            raise DoesNotRoundTrip(
                codec, f"raises {type(error).__name__} in can_encode({value!r}): {error}", advice
            ) from error
        if not isinstance(answer, bool | np.bool_):
            raise DoesNotRoundTrip(codec, f"answers can_encode({value!r}) with {answer!r}", advice)
    for value in values:
        if not codec.can_encode(value):
            raise DoesNotRoundTrip(codec, f"says that it cannot encode {short(value)}, one of `values`", advice)
    if codec.can_encode(_ANY_VALUES[-1]):
        raise DoesNotRoundTrip(codec, "says that it can encode any object at all", advice)
