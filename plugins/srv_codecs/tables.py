"""Content type pd: a table as a tensor for each column. pandas is imported only when it is used."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

import numpy as np

from srv.codec import RequestCodec
from srv.errors import InvalidInput, SrvError, quoted
from srv.messages import InferenceRequest, InferenceResponse
from srv.tensors import Tensor, datatype_of
from srv_codecs.base64_bytes import Base64Codec
from srv_codecs.datetimes import NULL, DatetimeCodec
from srv_codecs.json_values import JsonCodec, oddity
from srv_codecs.lists import Unreadable, flat
from srv_codecs.text import StringCodec

if TYPE_CHECKING:
    import pandas as pd

#: What MLServer calls columns of JSON texts; srv sends them under the name that its clients know.
JSON_COLUMN = "pd_json"


#: Types of cells that JSON would turn into text → what to do instead.
_INSTEAD = {
    date: "make datetimes of it with pandas.to_datetime(column)",
    time: "make text of it with column.astype(str)",
    Decimal: "make numbers of it with column.astype(float), or text with column.astype(str)",
    UUID: "make text of it with column.astype(str)",
    np.datetime64: "make datetimes of it with pandas.to_datetime(column)",
}


class PandasNeeded(InvalidInput):
    """pandas is not installed, and a table is to be read or written."""

    def __init__(self) -> None:
        super().__init__(
            "The content type 'pd' needs pandas, which is not installed here; "
            "install it with: pip install 'srv-inference[pandas]'."
        )


class NoTable(InvalidInput):
    """The tensors are not columns of one table."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The tensors cannot be read as content type 'pd': {why}.")


class NotATable(SrvError):
    """A value that is to be sent as a table is none."""

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
        """Whether it is a DataFrame; False while pandas is not imported."""
        table = getattr(sys.modules.get("pandas"), "DataFrame", None)
        return table is not None and isinstance(value, table)

    def encode_part(self, name: str, value: Any) -> Tensor | None:
        """Return the tensor of a Series, an Index or an array of pandas' own, as of a column; None for others."""
        return write_column(name, value)

    def decode_request(self, request: InferenceRequest) -> pd.DataFrame:
        """Return a table with a column for each input. Raises InvalidInput for columns of different lengths."""
        return read_table(request.inputs)

    def decode_response(self, response: InferenceResponse) -> pd.DataFrame:
        """Return a table with a column for each output. Raises InvalidInput for columns of different lengths."""
        return read_table(response.outputs)

    def encode_request(self, value: Any) -> InferenceRequest:
        """Return a request with an input for each column. Raises UnfitColumn, which names the column and its type."""
        return InferenceRequest(write_table(value), parameters={"content_type": self.content_type})

    def encode_response(self, value: Any) -> InferenceResponse:
        """Return a response with an output for each column. Raises UnfitColumn, as above."""
        return InferenceResponse(write_table(value), parameters={"content_type": self.content_type})


def read_table(tensors: Sequence[Tensor]) -> pd.DataFrame:
    """Return a table of these columns, with an index that counts from 0. It may be written to."""
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
    """Return a tensor for each column, in their order."""
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


def write_column(name: str, value: Any) -> Tensor | None:
    """Return the tensor of a Series, an Index or an array of pandas' own; None for anything else.

    Outside of a table, JSON values have the content type `json`, which is `pd_json` in a table.
    """
    pandas = sys.modules.get("pandas")
    if getattr(pandas, "Series", None) is None or pandas is None:
        return None
    kinds = (pandas.Series, pandas.Index, pandas.api.extensions.ExtensionArray)
    if not isinstance(value, kinds) or isinstance(value, pandas.MultiIndex):
        return None
    tensor = _write_column(name, value if isinstance(value, pandas.Series) else pandas.Series(value), pandas)
    content_type = tensor.parameters.get("content_type", "np")
    parameters = {"content_type": "json" if content_type == JSON_COLUMN else content_type}
    return Tensor.trusted(name, tensor.data, tensor.datatype, parameters)


def _read_column(tensor: Tensor, pandas: ModuleType) -> Any:
    content_type = tensor.parameters.get("content_type", "str" if tensor.datatype == "BYTES" else "np")
    match content_type:
        case "str":
            return pandas.Series(_with_gaps(tensor, StringCodec().decode(_without_gaps(tensor, b""))), dtype="str")
        case "base64":
            return pandas.Series(_with_gaps(tensor, Base64Codec().decode(_without_gaps(tensor, b""))), dtype=object)
        case "datetime":
            return _read_datetimes(tensor, pandas)
        case "json" | "pd_json":
            return _read_json(tensor, pandas)
        case "np" if tensor.datatype == "BF16":
            raise Unreadable(tensor.name, "pd", "its datatype is BF16, which no column has")
        case "np":
            return pandas.Series(np.array(flat(tensor, "pd")))
    raise Unreadable(tensor.name, "pd", f"its content type is {quoted(content_type)}, which no column has")


def _without_gaps(tensor: Tensor, filling: bytes) -> Tensor:
    """Fill a missing element with a valid one, so that a codec can read the tensor."""
    if not tensor.missing:
        return tensor
    array = np.array([filling if element is None else element for element in flat(tensor, "pd").tolist()], object)
    return Tensor.trusted(tensor.name, array, tensor.datatype, tensor.parameters)


def _with_gaps(tensor: Tensor, values: list[Any]) -> list[Any]:
    """Put None back where the tensor has a missing element."""
    if not tensor.missing:
        return values
    elements = tensor.data.reshape(-1).tolist()
    return [None if element is None else value for element, value in zip(elements, values, strict=True)]


def _read_datetimes(tensor: Tensor, pandas: ModuleType) -> Any:
    """Read datetimes of microseconds: naive ones unchanged, aware ones in UTC whatever their offsets, null as NaT."""
    moments = DatetimeCodec().decode_or_none(_without_gaps(tensor, NULL))
    naive = next((row for row, moment in enumerate(moments) if moment is not None and moment.tzinfo is None), None)
    aware = next((row for row, moment in enumerate(moments) if moment is not None and moment.tzinfo is not None), None)
    if naive is not None and aware is not None:
        raise Unreadable(tensor.name, "datetime", f"row {aware} has an offset from UTC and row {naive} has none")
    if aware is None:
        return pandas.Series(np.array(moments, "M8[us]"))
    in_utc = [_in_utc(tensor.name, row, moment) for row, moment in enumerate(moments)]
    return pandas.Series(np.array(in_utc, "M8[us]")).dt.tz_localize("UTC")


def _in_utc(name: str, row: int, moment: datetime | None) -> datetime | None:
    """Return the moment in UTC as a naive datetime, because numpy has no time zones."""
    try:
        return None if moment is None else moment.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:
        raise Unreadable(name, "datetime", f"row {row} is not within the years 1 to 9999 in UTC") from None


def _read_json(tensor: Tensor, pandas: ModuleType) -> Any:
    values = JsonCodec().decode(_without_gaps(tensor, b"null"))
    return pandas.Series(values, dtype=_dtype_of(values))


def _dtype_of(values: Sequence[Any]) -> Any:
    """Return the dtype that holds JSON values unchanged, with None for missing ones; object if no other does."""
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
    if kind == "f" and isinstance(column.dtype, np.dtype):
        return _numbers(name, column, column.to_numpy())  # without asking pandas what is missing, which options change
    if kind == "f":
        dtype = _numpy_dtype(column.dtype)
        return _numbers(name, column, column.to_numpy(dtype, na_value=dtype.type(np.nan)))
    # As objects, which are datetimes of pandas in every release.
    listed = column.astype(object).tolist() if kind == "M" else column.tolist()
    values = [None if gone else value for value, gone in zip(listed, column.isna(), strict=True)]
    if kind == "M" or (kind == "O" and _are_datetimes(values)):
        return _datetimes(name, column, values)
    if kind in "OU" and all(isinstance(value, str) for value in values):
        return StringCodec().encode(name, values)
    if kind == "O" and all(isinstance(value, bytes) for value in values):
        return Base64Codec().encode(name, values)
    return _json(name, column, values)


def _are_datetimes(values: Sequence[Any]) -> bool:
    """Whether the objects are datetimes and missing values only."""
    kinds = set(map(type, values)) - {type(None)}
    return bool(kinds) and all(issubclass(kind, datetime) for kind in kinds)


def _of_categories(column: Any) -> Any:
    """Return the column in its categories' type, unless numbers are missing."""
    dtype = column.dtype.categories.dtype
    return column.astype(object if dtype.kind in "biu" and column.isna().any() else dtype)


def _numpy_dtype(dtype: Any) -> np.dtype[Any]:
    """Return the plain dtype for pandas' own, such as Int64 and Float32."""
    return dtype if isinstance(dtype, np.dtype) else np.dtype(f"{dtype.kind}{dtype.itemsize}")


def _numbers(name: str, column: Any, array: np.ndarray[Any, Any]) -> Tensor:
    if datatype_of(array.dtype) is None:
        raise UnfitColumn(name, column.dtype, "no datatype of the protocol is like it")
    return Tensor(name, array)


def _datetimes(name: str, column: Any, values: Sequence[datetime | None]) -> Tensor:
    naive = next((row for row, value in enumerate(values) if value is not None and value.tzinfo is None), None)
    aware = next((row for row, value in enumerate(values) if value is not None and value.tzinfo is not None), None)
    if naive is not None and aware is not None:
        raise UnfitColumn(name, column.dtype, f"row {aware} has an offset from UTC and row {naive} has none")
    for row, value in enumerate(values):
        if getattr(value, "nanosecond", 0):
            why = f"row {row} is finer than microseconds, which the content type 'datetime' cannot say"
            raise UnfitColumn(name, column.dtype, why)
    return DatetimeCodec().encode(name, list(values))


def _json(name: str, column: Any, values: list[Any]) -> Tensor:
    for value in values:
        odd = oddity(value)
        instead = next((advice for kind, advice in _INSTEAD.items() if isinstance(value, kind)), None)
        if instead is not None:
            raise UnfitColumn(name, column.dtype, f"it holds {type(value).__name__}; {instead}")
        if odd is not None:
            beside = " beside others or missing ones" if isinstance(value, bytes) else ""
            raise UnfitColumn(name, column.dtype, f"it {odd}{beside}")
    tensor = JsonCodec().encode(name, values)
    return Tensor.trusted(name, tensor.data, tensor.datatype, {"content_type": JSON_COLUMN})


def _pandas() -> ModuleType:
    try:
        import pandas
    except ImportError:
        raise PandasNeeded from None
    module: ModuleType = pandas
    return module
