"""Parameters of requests that the signature knows: checked against its types, with its defaults for what is left out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.types import ParamSchema

from srv.errors import InvalidInput, listed, nearest, quoted

#: Parameters of the protocol and of its extensions, which are not the model's.
_NOT_THE_MODELS = frozenset(
    {"content_type", "binary_data_output", "priority", "sequence_end", "sequence_id", "sequence_start", "timeout"}
)


class UnknownParameter(InvalidInput):
    """The request brings a parameter that the signature does not have."""

    def __init__(self, name: str, known: Collection[str]) -> None:
        super().__init__(f"Parameter {quoted(name)} is unknown; the model takes {listed(known)}.{nearest(name, known)}")


class UnfitParameter(InvalidInput):
    """A parameter is not of the type that the signature says."""

    def __init__(self, name: str, value: object, wanted: str) -> None:
        super().__init__(f"Parameter {quoted(name)} is {quoted(value)}; the model takes {wanted}.")


class Params:
    """The parameters of a signature."""

    def __init__(self, schema: ParamSchema) -> None:
        self._specs = {spec.name: spec for spec in schema.params}

    def described(self) -> dict[str, Any]:
        """Return what the metadata says of them: type, default and, for lists, that it is one."""
        return {name: _described(spec) for name, spec in self._specs.items()}

    def read(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return all parameters of the signature. Raises UnknownParameter or UnfitParameter."""
        for name in given:
            if name not in self._specs and name not in _NOT_THE_MODELS:
                raise UnknownParameter(name, self._specs)
        return {
            name: _checked(spec, given[name]) if name in given else spec.default for name, spec in self._specs.items()
        }


def _checked(spec: Any, value: Any) -> Any:
    try:
        return type(spec).validate_param_spec(value, spec)
    except MlflowException:
        raise UnfitParameter(spec.name, value, _wanted(spec)) from None


def _wanted(spec: Any) -> str:
    kind = getattr(spec.dtype, "name", "object")
    return f"a list of {kind}" if spec.shape is not None else f"a value of the type {kind}"


def _described(spec: Any) -> dict[str, Any]:
    default = spec.default
    described = {"type": getattr(spec.dtype, "name", "object"), "default": str(default) if _is_time(spec) else default}
    return described if spec.shape is None else {**described, "list": True}


def _is_time(spec: Any) -> bool:
    return getattr(spec.dtype, "name", None) == "datetime"
