"""Declarations of inputs and outputs, merged from settings, runtime and signature, and the checks made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from srv.codec import InputCodec
from srv.codecs import Codecs
from srv.inference.decoding import BASE64, CONTENT_TYPE, Decoding
from srv.inference.request_validation import InputCheck, either
from srv.inference.signatures import BadSignature, Signature
from srv.model_settings import ModelSettings, Spec
from srv.runtime import Runtime


class ArgumentsUndecoded(BadSignature):
    """A runtime has codecs of its own, and one of its methods takes inputs by name, which srv would have to decode."""

    def __init__(self, runtime: str, method: str) -> None:
        super().__init__(
            f"{runtime} says own_codecs, and its {method} takes inputs by name, which srv's codecs would read. Let it take the "
            "request, or leave own_codecs out."
        )


def declared_for_srv(runtime: Runtime) -> ModelSettings:
    """Return the settings that srv checks, decodes and encodes by: without tensors and content types that are the runtime's own."""
    mine = runtime.settings
    if not runtime.own_codecs:
        return mine
    return replace(mine, inputs=None, outputs=None, parameters=replace(mine.parameters, content_type=None))


def merged(*sources: Sequence[Spec] | None) -> tuple[Spec, ...]:
    """Merge declared tensors by name. Of several sources that name a tensor, the first decides."""
    found: dict[str, Spec] = {}
    for source in sources:
        for spec in source or ():
            found.setdefault(spec.name, spec)
    return tuple(found.values())


def with_content_type(spec: Spec, codec: InputCodec | None) -> Spec:
    """Return a Spec with the content type of the codec that reads or makes the tensor, where one is known."""
    if codec is None or CONTENT_TYPE in spec.parameters:
        return spec
    return replace(spec, parameters={**spec.parameters, CONTENT_TYPE: codec.content_type})


def base64_types(specs: Sequence[Spec], codecs: Codecs) -> frozenset[str]:
    """Return the content types of tensors that are base64 in JSON."""
    content_types = {spec.parameters[CONTENT_TYPE] for spec in specs if CONTENT_TYPE in spec.parameters}
    return frozenset(name for name in content_types if name == BASE64 or codecs.is_binary(name))


def of_one_length(inputs: Sequence[Spec], signature: Signature) -> set[str]:
    """Return the inputs and outputs whose first dimension has one length only, so that no rows can be added."""
    declared = {spec.name for spec in inputs if spec.shape is not None and spec.shape[:1] != (-1,)}
    return declared | signature.single | {spec.name for spec in signature.outputs if spec.shape == (1,)}


def input_check(declared: tuple[Spec, ...] | None, signature: Signature) -> InputCheck:
    """Return the check of requests against the settings, and against the hints where the settings are silent."""
    specs = merged(declared, signature.checked)
    names = signature.names
    if names is None and declared:
        names = tuple(spec.name for spec in merged(declared, signature.inputs))
    if names is not None:
        specs = tuple(spec for spec in specs if spec.name in names)
    specs = tuple(_of_any_shape(spec) if spec.name in signature.single else spec for spec in specs)
    datatypes = _undecided(signature.datatypes, specs)
    return InputCheck(specs, names=names, required=signature.required, optional=signature.optional, datatypes=datatypes)


def _of_any_shape(spec: Spec) -> Spec:
    """Return the Spec of an input of one value without its shape, because [1], [1,1] and [] are all right."""
    return replace(spec, shape=None)


def check_declared(declared: Sequence[Spec], signature: Signature, method: str, only: str | None) -> None:
    """Raise BadSignature where an input is declared with a datatype that the method's hint does not take."""
    for spec in declared:
        taken = signature.datatypes.get(only or spec.name)
        if taken is not None and spec.datatype is not None and spec.datatype not in taken:
            raise BadSignature(
                f"Input '{spec.name}' is declared as {spec.datatype}; {method} takes {either(taken)}. "
                "Let them say the same."
            )


def _undecided(datatypes: Mapping[str, frozenset[str]], specs: Sequence[Spec]) -> Mapping[str, frozenset[str]]:
    """Return the hints' datatypes of inputs whose datatype no Spec declares."""
    said = {spec.name for spec in specs if spec.datatype is not None}
    return {name: several for name, several in datatypes.items() if name not in said}


def check_read_alike(predict: Signature, stream: Signature, decoding: Decoding) -> None:
    """Raise BadSignature where an input is base64 in JSON for one of a model's two methods and not for the other."""
    for name, codec in predict.decoders.items():
        other = stream.decoders.get(name)
        if other is not None and other.binary is not codec.binary and decoding.declared(name) is None:
            raise BadSignature(
                f"The input '{name}' has the content type '{codec.content_type}' by predict's hint, and "
                f"'{other.content_type}' by predict_stream's; one of them is base64 in JSON. Let the hints say the same."
            )


def input_check_of_any_name(declared: tuple[Spec, ...] | None, signature: Signature, only: str) -> InputCheck:
    """Return a check that takes the only input under any name."""
    specs = as_one(merged(declared, signature.checked))
    told = specs[0].name if specs else only
    if only in signature.single:
        specs = tuple(map(_of_any_shape, specs))
    optional = {told} if only in signature.optional else ()
    datatypes = _undecided({told: signature.datatypes[only]} if only in signature.datatypes else {}, specs)
    return InputCheck(specs, names=(told,), optional=optional, datatypes=datatypes, any_name=True)


def only_input(declared: Sequence[Spec] | None, by_runtime: Sequence[Spec] | None, signature: Signature) -> str | None:
    """Return the name under which a runtime reads its only input; None where the model declares none, or several."""
    names = (*signature.required, *signature.optional)
    if not names or (signature.names is None and len(by_runtime or ()) > 1):
        names = tuple(spec.name for spec in by_runtime or declared or ())
    return names[0] if len(names) == 1 and len(declared or ()) < 2 else None


def as_one(specs: Sequence[Spec]) -> tuple[Spec, ...]:
    """Merge declarations of one input, which settings and runtime may name differently, under the first name."""
    if not specs:
        return ()
    return (
        replace(
            specs[0],
            datatype=next((spec.datatype for spec in specs if spec.datatype is not None), None),
            shape=next((spec.shape for spec in specs if spec.shape is not None), None),
        ),
    )
