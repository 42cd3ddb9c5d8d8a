"""Answers: the outputs of a batch's rows as Python values and as arrays, and the reasons of rows that failed."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import orjson

from srv.client import Result
from srv.codecs import is_binary
from srv.tensors import Tensor
from srv_infer.errors import NoText, UnfitAnswer

Array = np.ndarray[Any, Any]


class Answers:
    """The answers of a batch in the order of its rows: a result for parts of them, and reasons for rows that failed."""

    def __init__(self, first: int, rows: int) -> None:
        self.first = first
        self.rows = rows
        self.parts: list[tuple[Sequence[int], Result]] = []
        self.failed: dict[int, str] = {}

    def add(self, numbers: Sequence[int], result: Result) -> None:
        """Add the result for rows. Raises UnfitAnswer where an output has not a row for each."""
        for name, array in result.items():
            rows = len(array) if array.ndim else 0
            if rows != len(numbers) and len(numbers) != 1:
                raise UnfitAnswer(name, len(numbers), rows)
        self.parts.append((numbers, result))

    def fail(self, numbers: Iterable[int], why: str) -> None:
        """Let rows fail that have an answer, because the output's format cannot hold it."""
        for number in numbers:
            self.failed.setdefault(number, why)

    @property
    def first_reason(self) -> str:
        """Why the first of the failed rows failed."""
        return self.failed[min(self.failed)]

    def by_row(self) -> list[dict[str, Any] | None]:
        """Return the outputs of each row as Python values; None for a row that failed."""
        rows: list[dict[str, Any] | None] = [None] * self.rows
        for numbers, result in self.parts:
            columns = {name: values_of(result, name, len(numbers)) for name in result}
            for place, number in enumerate(numbers):
                if number not in self.failed:
                    rows[number - self.first] = {name: values[place] for name, values in columns.items()}
        return rows


def rows_of(array: Array, rows: int) -> Array:
    """Return an array with a row for each row that was sent: the whole answer to a single row is that row's."""
    return array if array.ndim and len(array) == rows else array[np.newaxis]


def numbers_of(tensor: Tensor) -> Array:
    """Return the array of an output; of BF16, which travels as its bits, the floats."""
    if tensor.datatype != "BF16":
        return tensor.data
    bits = np.ascontiguousarray(tensor.data).view(np.uint16)
    return (bits.astype(np.uint32) << 16).view(np.float32)


def values_of(result: Result, name: str, rows: int) -> list[Any]:
    """Return a value for each row of an output: text where it holds bytes, and base64 where its content type is of bytes.

    Raises NoText for bytes that are neither.
    """
    tensor = result.tensor(name)
    decoded = numbers_of(tensor) if tensor.datatype == "BF16" else result.decode(name)
    values = _listed(decoded) if isinstance(decoded, np.ndarray) else decoded
    if not isinstance(values, list) or len(values) != rows:  # the whole answer to a single row
        values = [values]
    if tensor.datatype != "BYTES":
        return values
    content_type = tensor.parameters.get("content_type")
    as_text = _as_base64 if content_type == "base64" or is_binary(content_type) else bytes.decode
    try:
        return [_with_texts(value, as_text) for value in values]
    except UnicodeDecodeError:
        raise NoText(name) from None


def _listed(array: Array) -> Any:
    """Return an array as lists, with the shortest numbers that tell each float32 from its neighbours: 0.1, not 0.10000000149."""
    if array.dtype != np.float32:
        return array.tolist()
    flat = np.ascontiguousarray(array).reshape(-1)
    values = orjson.loads(orjson.dumps(flat, option=orjson.OPT_SERIALIZE_NUMPY))
    for place in np.flatnonzero(~np.isfinite(flat)):
        values[place] = float(flat[place])
    if array.ndim == 1:
        return values
    shaped = np.empty(flat.shape, object)
    shaped[:] = values
    return shaped.reshape(array.shape).tolist()


def _with_texts(value: Any, as_text: Callable[[bytes], str]) -> Any:
    if isinstance(value, bytes):
        return as_text(value)
    return [_with_texts(each, as_text) for each in value] if isinstance(value, list) else value


def _as_base64(value: bytes) -> str:
    return b64encode(value).decode()
