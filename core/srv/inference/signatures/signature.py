"""The signature of predict or predict_stream, read once at load: which inputs it takes, and how they become arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, get_origin, get_type_hints

import msgspec

from srv.codec import InputCodec, RequestCodec
from srv.codecs import Codecs
from srv.errors import SrvError
from srv.inference.decoding import Decoding
from srv.inference.signatures.arguments import Arguments, Compiler
from srv.inference.signatures.errors import BadHint, BadSignature
from srv.inference.signatures.fitting import ANYTHING
from srv.inference.signatures.hints import shown, unwrapped
from srv.inference.signatures.returned import read_returned
from srv.messages import InferenceRequest
from srv.model_settings import Spec


class Signature(msgspec.Struct, frozen=True):
    """What predict takes and gives, compiled once at load.

    - `arguments` is None where predict takes the InferenceRequest and nothing else.
    - `names` are all inputs that it takes, or None where it may take others too.
    - `inputs` and `outputs` are declared by its hints, for the metadata.
    - `checked` and `datatypes` are what each request is checked against; an input may have several datatypes.
    - `required` inputs must come; `single` inputs hold one value; `choices` are the values of those that take a few only.
    - `encoders` and `whole` are the codecs that the return hint names; outputs in `may_be_none` may be
      None or missing, those in `needed` may not.
    """

    arguments: Arguments | None
    names: tuple[str, ...] | None
    optional: frozenset[str]
    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]
    checked: tuple[Spec, ...] = ()
    datatypes: Mapping[str, frozenset[str]] = msgspec.field(default_factory=dict)
    required: tuple[str, ...] = ()
    single: frozenset[str] = frozenset()
    choices: Mapping[str, tuple[Any, ...]] = msgspec.field(default_factory=dict)
    encoders: Mapping[str, InputCodec] = msgspec.field(default_factory=dict)
    whole: RequestCodec | None = None
    may_be_none: frozenset[str] = frozenset()
    needed: tuple[str, ...] = ()
    #: The codecs that read inputs by their hints where no content type is named.
    decoders: Mapping[str, InputCodec] = msgspec.field(default_factory=dict)
    #: All codecs that the hints name.
    codecs: frozenset[InputCodec | RequestCodec] = frozenset()


def read_signature(predict: Callable[..., Any], name: str, codecs: Codecs, decoding: Decoding) -> Signature:
    """Compile the signature of a method, predict or predict_stream, that sentences call by `name`.

    Raises BadSignature where an argument cannot be made from a request.
    """
    parameters = _parameters(predict, name)
    hints = _hints(predict, name)
    with _naming(f"What {name} returns"):
        returned = read_returned(hints.pop("return", None), codecs, streams=name == "predict_stream")
    arguments = Compiler(name, codecs, decoding)
    for parameter in parameters:
        with _naming(f"{name}'s argument '{parameter.name}'"):
            hint = unwrapped(hints.get(parameter.name, Any))
            if hint.type is InferenceRequest or (hint.type in ANYTHING and len(parameters) == 1):
                arguments.add_request(parameter.name)
            else:
                arguments.add(parameter.name, hint, has_default=parameter.default is not parameter.empty)
    inputs = arguments.inputs
    return Signature(
        arguments=arguments.compiled() if arguments.requests != [parameters[0].name] or len(parameters) > 1 else None,
        names=None if arguments.open else tuple(inputs),
        optional=frozenset(name for name, each in inputs.items() if each.optional),
        inputs=tuple(each.reading.told for each in inputs.values() if each.reading.told is not None),
        outputs=returned.outputs,
        checked=tuple(each.reading.checked for each in inputs.values() if each.reading.checked is not None),
        datatypes={name: each.reading.datatypes for name, each in inputs.items() if each.reading.datatypes is not None},
        required=tuple(name for name, each in inputs.items() if not each.optional),
        single=frozenset(name for name, each in inputs.items() if each.reading.single),
        choices={name: each.reading.choices for name, each in inputs.items() if each.reading.choices},
        encoders=returned.encoders,
        whole=returned.whole,
        may_be_none=returned.optional,
        needed=returned.needed,
        decoders={name: each.reading.unnamed for name, each in inputs.items() if each.reading.unnamed is not None},
        codecs=arguments.codecs | returned.codecs,
    )


def _parameters(predict: Callable[..., Any], name: str) -> list[inspect.Parameter]:
    """Return the arguments of a method. Raises BadSignature where one cannot be an input, or there is none."""
    try:
        parameters = list(inspect.signature(predict).parameters.values())
    except (TypeError, ValueError):  # a method without self, or something that is no function of Python's
        parameters = []
    if not parameters:
        raise BadSignature(f"{name} takes no argument; write {name}(self, request) or name its inputs.")
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise BadSignature(f"{name}'s argument '{parameter}' has no name of its own; each input needs one.")
        if parameter.default is not parameter.empty:
            _check_default(parameter, name)
    return parameters


def _check_default(parameter: inspect.Parameter, name: str) -> None:
    """Raise BadSignature where an argument's default is a Spec or a type, which belongs in its hint."""
    default = parameter.default
    if isinstance(default, Spec):
        raise BadSignature(
            f"{name}'s argument '{parameter.name}' has a Spec as its default; write it into the hint, as "
            f"{parameter.name}: Annotated[np.ndarray, Spec(...)]."
        )
    is_type = isinstance(default, type) or get_origin(default) is not None
    if is_type and parameter.annotation is parameter.empty:
        raise BadSignature(
            f"{name}'s argument '{parameter.name}' has a type as its default; a hint stands behind a colon, as "
            f"{parameter.name}: {shown(default)}."
        )


def _hints(predict: Callable[..., Any], name: str) -> dict[str, Any]:
    while isinstance(predict, partial):
        predict = predict.func
    if not inspect.isroutine(predict) and not hasattr(predict, "__annotations__"):  # an object that can be called
        predict = type(predict).__call__
    try:
        return get_type_hints(predict, include_extras=True)
    except Exception as error:
        raise BadSignature(f"{name}'s type hints cannot be read: {error}.") from error


@contextmanager
def _naming(place: str) -> Iterator[None]:
    """Turn BadHint and unexpected errors into BadSignature, with the place of the hint."""
    try:
        yield
    except BadHint as error:
        raise BadSignature(f"{place} is hinted with {error}.") from None
    except SrvError:
        raise
    except Exception as error:  # a lazy alias may raise anything
        raise BadSignature(f"{place} has a hint that cannot be read: {type(error).__name__}: {error}.") from error
