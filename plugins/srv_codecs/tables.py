"""Content type pd: a table as a tensor per column. pandas is imported by whoever uses it, and by nobody else."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from srv.coding import RequestCodec
from srv.errors import InvalidInput, SrvError, quoted
from srv.messages import InferenceRequest, InferenceResponse
from srv.tensors import Tensor, datatype_of
from srv_codecs.datetimes import DatetimeCodec
from srv_codecs.json_values import JsonCodec, oddity
from srv_codecs.lists import Unreadable, flat
from srv_codecs.octets import Base64Codec
from srv_codecs.text import StringCodec

if TYPE_CHECKING:
    import pandas as pd

#: What MLServer calls columns of JSON texts; srv sends them under the name that its clients know.
JSON_COLUMN = "pd_json"


class PandasMissing(InvalidInput):
    """A table is to be read or written, and pandas is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "The content type 'pd' needs pandas, which is not installed here; "
            "install it with: pip install 'srv-inference[pandas]'."
        )


class NoTable(InvalidInput):
    """The tensors are no columns of one table."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The tensors cannot be read as content type 'pd': {why}.")


class NotATable(SrvError):
    """What is to be sent as a table is none."""

    def __init__(self, value: object) -> None:
        super().__init__(f"The content type 'pd' is for a pandas.DataFrame, not for {type(value).__name__}.")


class UnfitColumn(SrvError):
    """A column that no tensor can carry."""

    def __init__(self, name: object, dtype: object, why: str) -> None:
        super().__init__(f"Column {quoted(name)} of type {dtype} cannot be sent: {why}.")


class PandasCodec(RequestCodec):
    """A table, each column a tensor of shape `[N]`. Takes `[N,1]` too. The index is not sent."""

    content_type: ClassVar[str] = "pd"
    type_hint: ClassVar[Any] = "pandas.DataFrame"
    tensor_content_types: ClassVar[frozenset[str]] = frozenset({JSON_COLUMN})

    def can_encode(self, value: Any) -> bool:
        """Whether it is a DataFrame; where nobody imported pandas nothing is."""
        table = getattr(sys.modules.get("pandas"), "DataFrame", None)
        return table is not None and isinstance(value, table)

    def decode_request(self, request: InferenceRequest) -> pd.DataFrame:
        """A table with a column per input. Raises InvalidInput where they are no columns of one length."""
        return read_table(request.inputs)

    def decode_response(self, response: InferenceResponse) -> pd.DataFrame:
        """A table with a column per output. Raises InvalidInput where they are no columns of one length."""
        return read_table(response.outputs)

    def encode_request(self, value: Any) -> InferenceRequest:
        """A request with an input per column. Raises UnfitColumn naming one that cannot be sent, and its type."""
        return InferenceRequest(write_table(value), parameters={"content_type": self.content_type})

    def encode_response(self, value: Any) -> InferenceResponse:
        """A response with an output per column. Raises UnfitColumn naming one that cannot be sent, and its type."""
        return InferenceResponse(write_table(value), parameters={"content_type": self.content_type})


def read_table(tensors: Sequence[Tensor]) -> pd.DataFrame:
    """A table of these columns, with an index that counts from 0. It may be written to."""
    pandas = _pandas()
    columns: dict[str, Any] = {}
    for tensor in tensors:
        if tensor.name in columns:
            raise NoTable(f"{quoted(tensor.name)} is there twice")
        column = _read_column(tensor, pandas)
        first = next(iter(columns.items()), (tensor.name, column))
        if len(column) != len(first[1]):
            raise NoTable(f"{quoted(first[0])} has {len(first[1])} rows and {quoted(tensor.name)} has {len(column)}")
        columns[tensor.name] = column
    return pandas.DataFrame(columns)


def write_table(table: pd.DataFrame) -> list[Tensor]:
    """A tensor for each column, in their order."""
    pandas = _pandas()
    if not isinstance(table, pandas.DataFrame):
        raise NotATable(table)
    tensors: dict[str, Tensor] = {}
    for name, column in table.items():
        if not isinstance(name, str):
            raise UnfitColumn(name, column.dtype, f"its name is of type {type(name).__name__}, not str")
        if name in tensors:
            raise UnfitColumn(name, column.dtype, "another column has the same name")
        tensors[name] = _write_column(name, column, pandas)
    return list(tensors.values())


def _read_column(tensor: Tensor, pandas: ModuleType) -> Any:
    content_type = tensor.parameters.get("content_type", "str" if tensor.datatype == "BYTES" else "np")
    match content_type:
        case "str":
            return pandas.Series(StringCodec().decode(tensor), dtype="str")
        case "base64":
            return pandas.Series(Base64Codec().decode(tensor), dtype=object)
        case "datetime":
            moments = DatetimeCodec().decode(tensor)
            return pandas.Series(moments, dtype=None if moments else "datetime64[us]")
        case "json" | "pd_json":
            return _read_json(tensor, pandas)
        case "np" if tensor.datatype == "BF16":
            raise Unreadable(tensor.name, "pd", "its datatype is BF16, which no column has")
        case "np":
            return pandas.Series(np.array(flat(tensor, "pd")))
    raise Unreadable(tensor.name, "pd", f"its content type is {quoted(content_type)}, which no column has")


def _read_json(tensor: Tensor, pandas: ModuleType) -> Any:
    values = JsonCodec().decode(tensor)
    return pandas.Series(values, dtype=_dtype_of(values))


def _dtype_of(values: Sequence[Any]) -> Any:
    """The dtype that holds JSON values as they are, with None for what is missing; object where no other does."""
    kinds = {type(value) for value in values}
    missing = type(None) in kinds
    match sorted(kind.__name__ for kind in kinds - {type(None)}):
        case ["str"]:
            return "str"
        case ["bool"]:
            return "boolean" if missing else "bool"
        case ["int"] if all(value is None or -(2**63) <= value < 2**63 for value in values):
            return "Int64" if missing else "int64"
        case ["float"] | ["float", "int"] if all(value is None or abs(value) <= 2**53 for value in values):
            return "float64"
    return object


def _write_column(name: str, column: Any, pandas: ModuleType) -> Tensor:
    if isinstance(column.dtype, pandas.CategoricalDtype):
        column = _of_categories(column)
    elif isinstance(column.dtype, pandas.SparseDtype):
        column = column.sparse.to_dense()
    kind = getattr(column.dtype, "kind", "O")
    missing = bool(column.isna().any())
    if kind in "biu" and not missing:
        return _numbers(name, column, column.to_numpy(_numpy_dtype(column.dtype)))
    if kind == "f":
        dtype = _numpy_dtype(column.dtype)
        return _numbers(name, column, column.to_numpy(dtype, na_value=dtype.type(np.nan)))
    values = [None if gone else value for value, gone in zip(column.tolist(), column.isna(), strict=True)]
    if kind == "M" or (kind == "O" and values and all(isinstance(value, datetime) for value in values)):
        return _datetimes(name, column)
    if kind == "O" and all(isinstance(value, str) for value in values):
        return StringCodec().encode(name, values)
    if kind == "O" and all(isinstance(value, bytes) for value in values):
        return Base64Codec().encode(name, values)
    return _json(name, column, values)


def _of_categories(column: Any) -> Any:
    """The column as its categories' type, which numbers that are missing do not have."""
    dtype = column.dtype.categories.dtype
    return column.astype(object if dtype.kind in "biu" and column.isna().any() else dtype)


def _numpy_dtype(dtype: Any) -> np.dtype[Any]:
    """The plain dtype for pandas' own, such as Int64 and Float32."""
    return dtype if isinstance(dtype, np.dtype) else np.dtype(f"{dtype.kind}{dtype.itemsize}")


def _numbers(name: str, column: Any, array: np.ndarray[Any, Any]) -> Tensor:
    if datatype_of(array.dtype) is None:
        raise UnfitColumn(name, column.dtype, "no datatype of the protocol is like it")
    return Tensor(name, array)


def _datetimes(name: str, column: Any) -> Tensor:
    values = column.astype(object).tolist()
    codec = DatetimeCodec()
    if not codec.can_encode(values):
        raise UnfitColumn(
            name, column.dtype, "it holds NaT or nanoseconds, which the content type 'datetime' cannot say"
        )
    return codec.encode(name, values)


def _json(name: str, column: Any, values: list[Any]) -> Tensor:
    for value in values:
        odd = oddity(value)
        if odd is not None:
            beside = " beside others or missing ones" if isinstance(value, bytes) else ""
            raise UnfitColumn(name, column.dtype, f"it {odd}{beside}")
    tensor = JsonCodec().encode(name, values)
    return Tensor.trusted(name, tensor.data, tensor.datatype, {"content_type": JSON_COLUMN})


def _pandas() -> ModuleType:
    try:
        import pandas
    except ImportError:
        raise PandasMissing from None
    module: ModuleType = pandas
    return module
