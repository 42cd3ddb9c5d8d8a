"""Predict by signature: arguments are inputs, what is returned is outputs, and the metadata follows from the hints."""

from __future__ import annotations

import dataclasses
import inspect
import types
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec
import numpy as np

from srv.codecs import Codecs
from srv.coding import InputCodec, RequestCodec
from srv.decoding import Decoding
from srv.errors import SrvError, listed
from srv.messages import InferenceRequest, InferenceResponse
from srv.modelsettings import Spec
from srv.tensors import datatype_of

OUTPUT = "output"
_ITERATORS = (Iterator, Iterable, Generator, AsyncIterator, AsyncIterable, AsyncGenerator)

#: Turns a request into the arguments of predict, by name.
Arguments = Callable[[InferenceRequest], Mapping[str, Any]]


class BadSignature(SrvError):
    """predict's arguments cannot be made from a request."""


class Signature(msgspec.Struct, frozen=True):
    """What predict takes and gives, compiled once at load.

    `arguments` is None where predict takes the InferenceRequest and nothing else. `names` are all inputs it takes, or
    None where it may take others too; `inputs` and `outputs` are what its hints declare of them. `encoders` and
    `whole` are the codecs that the hint of what it returns names.
    """

    arguments: Arguments | None
    names: tuple[str, ...] | None
    optional: frozenset[str]
    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]
    encoders: Mapping[str, InputCodec] = msgspec.field(default_factory=dict)
    whole: RequestCodec | None = None


class _Returned(msgspec.Struct, frozen=True):
    """What the hint of what is returned says: what the outputs are, and which codecs make them."""

    outputs: tuple[Spec, ...] = ()
    encoders: Mapping[str, InputCodec] = msgspec.field(default_factory=dict)
    whole: RequestCodec | None = None


class _Argument(msgspec.Struct, frozen=True):
    """One argument of predict: how it is read, and what it declares."""

    name: str
    optional: bool
    has_default: bool
    codec: InputCodec | None
    spec: Spec | None


def read_signature(predict: Callable[..., Any], codecs: Codecs, decoding: Decoding) -> Signature:
    """Compile the signature of predict or predict_stream.

    Raises BadSignature where an argument cannot be made from a request.
    """
    name = getattr(predict, "__name__", "predict")
    parameters = list(inspect.signature(predict).parameters.values())
    hints = _hints(predict, name)
    returned = _returned(hints.pop("return", None), codecs)
    if not parameters:
        raise BadSignature(f"{name} takes no argument; write {name}(self, request) or name its inputs.")
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise BadSignature(f"{name}'s argument '{parameter}' has no name of its own; each input needs one.")
    alone = len(parameters) == 1
    if alone and hints.get(parameters[0].name, InferenceRequest) is InferenceRequest:
        return Signature(None, None, frozenset(), (), returned.outputs, returned.encoders, returned.whole)

    read: list[_Argument] = []
    whole: dict[str, RequestCodec] = {}
    requests: list[str] = []
    for parameter in parameters:
        hint = hints.get(parameter.name)
        if hint is InferenceRequest:
            requests.append(parameter.name)
            continue
        argument = _argument(parameter, hint, codecs)
        if isinstance(argument, _Argument):
            read.append(argument)
        else:
            whole[parameter.name] = argument
    return Signature(
        arguments=_reader(read, whole, requests, decoding),
        names=tuple(argument.name for argument in read) if not whole and not requests else None,
        optional=frozenset(argument.name for argument in read if argument.optional),
        inputs=tuple(argument.spec for argument in read if argument.spec is not None),
        outputs=returned.outputs,
        encoders=returned.encoders,
        whole=returned.whole,
    )


def _reader(
    arguments: Sequence[_Argument], whole: Mapping[str, RequestCodec], requests: Sequence[str], decoding: Decoding
) -> Arguments:
    """The function that makes predict's arguments; what does not depend on the request is decided here."""
    hinted = {argument.name: argument.codec for argument in arguments}
    decoders = {name: decoding.usual(name, codec).decode for name, codec in hinted.items()}
    absent: dict[str, Any] = {
        argument.name: None for argument in arguments if argument.optional and not argument.has_default
    }

    def read(request: InferenceRequest) -> Mapping[str, Any]:
        values = absent.copy()
        for tensor in request.inputs:
            name = tensor.name
            decode = decoders.get(name)
            if decode is None:
                continue
            if tensor.parameters or request.parameters:  # which may name a content type
                values[name] = decoding.value(request, tensor, hinted[name])
            else:
                values[name] = decode(tensor)
        for name, codec in whole.items():
            values[name] = decoding.whole(request, codec)
        for name in requests:
            values[name] = request
        return values

    return read


def _hints(predict: Callable[..., Any], name: str) -> dict[str, Any]:
    try:
        return get_type_hints(predict, include_extras=True)
    except Exception as error:
        raise BadSignature(f"{name}'s type hints cannot be read: {error}.") from error


def _argument(parameter: inspect.Parameter, hint: Any, codecs: Codecs) -> _Argument | RequestCodec:
    has_default = parameter.default is not parameter.empty
    if hint is None:
        return _Argument(parameter.name, has_default, has_default, None, None)
    base, spec, optional = _unwrapped(hint)
    optional = optional or has_default
    declared = _declared(parameter.name, base, spec, codecs)
    codec = codecs.input_for_hint(_plain(base))
    if codec is not None:
        return _Argument(parameter.name, optional, has_default, codec, declared)
    request_codec = codecs.request_for_hint(_plain(base))
    if request_codec is not None:
        return request_codec
    raise BadSignature(
        f"predict's argument '{parameter.name}' is hinted with {_shown(base)}, which no installed codec reads; "
        f"hints that are read: {listed(codecs.hints())}."
    )


def _unwrapped(hint: Any) -> tuple[Any, Spec | None, bool]:
    """A hint without `| None` and `Annotated`, the Spec that stood there, and whether None was allowed."""
    spec: Spec | None = None
    optional = False
    while True:
        origin = get_origin(hint)
        if origin is Annotated:
            hint, *extras = get_args(hint)
            spec = next((extra for extra in extras if isinstance(extra, Spec)), spec)
        elif origin in (Union, types.UnionType) and type(None) in get_args(hint):
            left = [one for one in get_args(hint) if one is not type(None)]
            hint = left[0] if len(left) == 1 else Union[tuple(left)]  # noqa: UP007 (made at run time)
            optional = True
        else:
            return hint, spec, optional


def _declared(name: str, base: Any, spec: Spec | None, codecs: Codecs) -> Spec | None:
    """What a hint declares of a tensor; nothing for a bare ndarray, which takes any datatype."""
    datatype = _element_datatype(base)
    if datatype is None:
        codec = codecs.input_for_hint(_plain(base))
        datatype = codec.datatype if codec is not None else None
    if spec is not None:
        return Spec(spec.datatype or datatype, spec.shape, name, spec.parameters)
    return Spec(datatype, None, name) if datatype is not None else None


def _element_datatype(base: Any) -> str | None:
    """FP32 for `NDArray[np.float32]`; None for a bare ndarray or one of any type."""
    if get_origin(base) is not np.ndarray:
        return None
    inner = get_args(get_args(base)[1])
    if not inner or not (isinstance(inner[0], type) and issubclass(inner[0], np.generic)):
        return None
    try:
        return datatype_of(np.dtype(inner[0]))
    except TypeError:
        return None


def _plain(base: Any) -> Any:
    return np.ndarray if get_origin(base) is np.ndarray else base


def _shown(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and get_origin(hint) is None else str(hint)


def _returned(hint: Any, codecs: Codecs) -> _Returned:
    if get_origin(hint) in _ITERATORS:  # predict_stream's: what each response is
        hint = get_args(hint)[0]
    if hint is None or hint is InferenceResponse:
        return _Returned()
    base, spec, _ = _unwrapped(hint)
    if codecs.input_for_hint(_plain(base)) is None:
        whole = codecs.request_for_hint(base)
        if whole is not None:
            return _Returned(whole=whole)
    if isinstance(base, type) and (dataclasses.is_dataclass(base) or _is_named_tuple(base)):
        try:
            fields = get_type_hints(base, include_extras=True)
        except Exception as error:
            raise BadSignature(f"The type hints of {base.__name__} cannot be read: {error}.") from error
        named = {name: _unwrapped(inner) for name, inner in fields.items()}
    else:
        named = {OUTPUT: (base, spec, False)}
    outputs: list[Spec] = []
    encoders: dict[str, InputCodec] = {}
    for name, (kind, extra, _) in named.items():
        codec = codecs.input_for_hint(_plain(kind))
        if codec is not None:
            encoders[name] = codec
            output = _declared(name, kind, extra, codecs)
            outputs += [output] if output is not None else []
    return _Returned(tuple(outputs), encoders)


def _is_named_tuple(base: type) -> bool:
    return issubclass(base, tuple) and hasattr(base, "_fields")
