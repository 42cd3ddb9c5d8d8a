"""Results of models as values that srv sends: each output under the name that the signature has for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from mlflow.types import Schema
from pydantic import BaseModel

from srv import Spec, Tensor
from srv.codecs import input_codec
from srv.errors import SrvError
from srv_mlflow.columns import content_type_of, datatype_of
from srv_mlflow.tensors import spec_of

#: The name of an output that the signature does not name.
OUTPUT = "output"


class UnfitResult(SrvError):
    """The model gave a value that no tensor can carry."""

    def __init__(self, value: object) -> None:
        super().__init__(f"The model gave a {type(value).__name__}, which no tensor can carry.")


class Results:
    """Names the outputs of one model and makes of its results what srv encodes."""

    def __init__(self, schema: Schema | None) -> None:
        self._specs = [] if schema is None else [_spec(each, place, schema) for place, each in enumerate(schema.inputs)]
        self._names = [spec.name for spec in self._specs]

    def specs(self) -> list[Spec] | None:
        """Return the outputs of the signature, or None where it does not say them."""
        return self._specs or None

    def named(self, result: Any) -> Any:
        """Return the result as a DataFrame or as a dict of outputs: columns, keys, or the only value."""
        result = _plain(result)
        if isinstance(result, pd.DataFrame):
            return self._of_frame(result)
        if isinstance(result, Mapping):
            outputs = {str(name): value for name, value in result.items()} or {self._only(): result}
        elif isinstance(result, np.ndarray) and result.ndim == 2 and result.shape[1] == len(self._names) > 1:
            outputs = {name: result[:, place] for place, name in enumerate(self._names)}
        else:
            outputs = {self._only(result): result}
        return {name: _output(name, value) for name, value in outputs.items()}

    def _of_frame(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the DataFrame with texts for the names of its columns, those of the signature where it has none itself."""
        if isinstance(frame.columns, pd.RangeIndex) and len(self._names) == len(frame.columns):
            return frame.set_axis(self._names, axis=1)
        return frame.set_axis([str(name) for name in frame.columns], axis=1)

    def _only(self, result: Any = None) -> str:
        if len(self._names) == 1:
            return self._names[0]
        name = getattr(result, "name", None)
        return name if isinstance(name, str) and name in self._names else OUTPUT


def _spec(each: Any, place: int, schema: Schema) -> Spec:
    name = each.name or (OUTPUT if len(schema.inputs) == 1 else str(place))
    if schema.is_tensor_spec():
        return spec_of(each.type, each.shape, name)
    content_type = content_type_of(each.type)
    parameters = {} if content_type is None else {"content_type": content_type}
    return Spec(datatype_of(each.type), (-1,), name=name, parameters=parameters)


def _plain(result: Any) -> Any:
    """Return a model of pydantic or a dataclass as a dict, and a sparse array as a full one."""
    if isinstance(result, BaseModel):
        return result.model_dump(mode="json")
    if is_dataclass(result) and not isinstance(result, type):
        return asdict(result)
    return np.asarray(result.toarray()) if hasattr(result, "toarray") else result


def _output(name: str, value: Any) -> Any:
    value = _value(value)
    return value.named(name) if isinstance(value, Tensor) else value


def _value(value: Any) -> Any:
    """Return one output's value as an array, as a column, or as a tensor of JSON values; a single value is a list of one."""
    value = _plain(value)
    match value:
        case pd.Series() | pd.Index():
            return pd.Series(value)
        case np.ndarray():
            return _array(value)
        case str() | bytes() | datetime():
            return [value]
        case bool() | int() | float() | np.generic():
            return _array(np.array([value]))
        case pd.DataFrame():
            return _json(value.to_dict("records"))
        case list() | tuple():
            return _list(list(value))
        case None | Mapping():
            return _json([value])
    raise UnfitResult(value)


def _list(values: Sequence[Any]) -> Any:
    kinds = {type(value) for value in values}
    if (kinds and kinds <= {str}) or kinds == {bytes}:
        return values
    if (
        values
        and all(isinstance(value, np.ndarray) for value in values)
        and len({value.shape for value in values}) == 1
    ):
        return _array(np.stack(values))
    if kinds and kinds <= {bool, np.bool_}:
        return np.array(values)
    if kinds and not kinds & {bool, np.bool_} and all(isinstance(value, int | float | np.number) for value in values):
        return _array(np.array(values))
    if kinds == {list} and (array := _rectangle(values)) is not None:
        return array
    return _json([_plain(value) for value in values])


def _rectangle(values: Sequence[Any]) -> Any:
    """Return lists of numbers of one length as an array, None for all others."""
    try:
        array = np.array(values)
    except ValueError:
        return None
    return array if array.dtype.kind in "iuf" else None


def _array(array: np.ndarray[Any, Any]) -> Any:
    """Return an array that srv can send: objects of one type in a dtype of their own, others as JSON values."""
    if array.ndim == 0:
        array = array.reshape(1)
    if array.dtype.kind in "biufUS":
        return array
    if array.ndim == 1:
        return pd.Series(array)
    if array.dtype.kind == "O" and all(isinstance(value, str) for value in array.reshape(-1).tolist()):
        return array.astype(str)
    return _json(array.tolist())


def _json(values: Sequence[Any]) -> Any:
    return input_codec("json").encode("", list(values))
