"""Values as the inputs of a model: arrays, lists, tables, text and bytes become what the metadata asks for."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from srv.client.pictures import UnfitInput, with_files_of_pictures
from srv.errors import InvalidInput, listed, quoted
from srv.messages import InferenceRequest, ModelMetadata
from srv.model_settings import Spec
from srv.tensors import DTYPES, Tensor, UnfitArray

#: What `Client.infer` takes: values by the names of inputs, tensors, a table, a whole request, or the value of the only input.
Given: TypeAlias = Any


class WhichInput(InvalidInput):
    """A value came without a name, and the model has not exactly one input."""

    def __init__(self, model: str, names: Sequence[str]) -> None:
        has = f"has the inputs {listed(names)}" if names else "does not say which inputs it has"
        super().__init__(f"The model {quoted(model)} {has}; give values by their names.")


def needs_metadata(given: Given) -> bool:
    """Whether the model's metadata say how these values are sent; tensors and whole requests say all themselves."""
    return not isinstance(given, InferenceRequest | Tensor) and not _are_tensors(given)


def request_of(given: Given, metadata: ModelMetadata | None) -> InferenceRequest:
    """Return the request that carries what a caller gave. Raises InvalidInput naming the input that cannot be sent.

    Numbers become the datatype that the model declares where no value changes but by rounding a float. Nothing is
    reshaped, but that a single value fills an input whose lengths can all be 1, and a list a column of one value a row.
    """
    if isinstance(given, InferenceRequest):
        return given
    if isinstance(given, Tensor):
        return InferenceRequest([given])
    if _are_tensors(given):
        return InferenceRequest(list(given))
    assert metadata is not None
    specs = {spec.name: spec for spec in metadata.inputs}
    if _is_table(given):
        return _of_table(given, metadata)
    if isinstance(given, Mapping) and not _is_one_value(given, metadata):
        return InferenceRequest([tensor_of(name, value, specs.get(name)) for name, value in given.items()])
    if len(specs) != 1:
        raise WhichInput(metadata.name, list(specs))
    [(name, spec)] = specs.items()
    return InferenceRequest([tensor_of(name, given, spec)])


def tensor_of(name: str, value: Any, spec: Spec | None) -> Tensor:
    """Return a value as the tensor of that name, by what the model declares of it. Raises InvalidInput."""
    if isinstance(value, Tensor):
        return value.named(name)
    if spec is not None and spec.datatype in (None, "BYTES"):
        value = with_files_of_pictures(name, value)
    try:
        return _tensor_of(name, value, spec)
    except UnfitArray as error:
        raise UnfitInput(str(error)) from None


def _tensor_of(name: str, value: Any, spec: Spec | None) -> Tensor:
    content_type = spec.parameters.get("content_type") if spec is not None else None
    if isinstance(content_type, str) and content_type != "np":
        encoded = _encoded(name, value, content_type)
        if encoded is not None:
            return encoded
    datatype = spec.datatype if spec is not None and spec.datatype in DTYPES else None
    if hasattr(value, "to_numpy"):
        value = value.to_numpy()  # a column of pandas or polars
    if datatype is None or datatype in ("BYTES", "BF16"):
        return _filled(Tensor(name, _listed(value), datatype), spec)
    if isinstance(value, np.ndarray) and value.dtype == object:
        value = _plain_list(value)
    if isinstance(value, np.ndarray | np.generic):
        return _filled(Tensor(name, _cast(name, np.asarray(value), datatype)), spec)
    if datatype.startswith("FP"):
        value = _with_nan(value)
    return _filled(Tensor(name, value, datatype), spec)


def _plain_list(array: np.ndarray[Any, Any]) -> Any:
    """Return an array of Python's objects as lists, in which None stands for what pandas' nullable columns lack."""
    missing = getattr(sys.modules.get("pandas"), "NA", None)
    flat = np.empty(array.size, dtype=object)
    flat[:] = [None if each is missing else each for each in array.reshape(-1).tolist()]
    return flat.reshape(array.shape).tolist()


def _with_nan(value: Any) -> Any:
    """Return lists of numbers with NaN for None; any other value as it is."""
    if not isinstance(value, list | tuple):
        return value
    try:
        array = np.asarray(value, dtype=object)
    except ValueError:
        return value  # ragged, which the tensor's own sentence tells
    kinds = {*map(type, array.reshape(-1).tolist())}
    return array.astype(np.float64) if type(None) in kinds and kinds <= {type(None), float, int} else value


def _are_tensors(given: Given) -> bool:
    return isinstance(given, list | tuple) and bool(given) and all(isinstance(each, Tensor) for each in given)


def _is_table(given: Given) -> bool:
    table = getattr(sys.modules.get("pandas"), "DataFrame", None)
    return table is not None and isinstance(given, table)


def _is_one_value(given: Mapping[str, Any], metadata: ModelMetadata) -> bool:
    """Whether a dict is the JSON value of the only input, and not values by name."""
    if len(metadata.inputs) != 1:
        return False
    [spec] = metadata.inputs
    return spec.name not in given and spec.parameters.get("content_type") == "json"


def _of_table(table: Any, metadata: ModelMetadata) -> InferenceRequest:
    """Return a table's request: an array for a model that takes one of numbers, else an input for each column."""
    from srv.codecs import request_codec  # here, because the codecs are looked for in all installed packages

    if len(metadata.inputs) == 1:
        [spec] = metadata.inputs
        is_matrix = spec.shape is not None and len(spec.shape) == 2 and spec.datatype not in (None, "BYTES")
        if is_matrix and spec.name not in table.columns:
            return InferenceRequest([tensor_of(spec.name, table.to_numpy(), spec)])
    return request_codec("pd").encode_request(table)


def _encoded(name: str, value: Any, content_type: str) -> Tensor | None:
    """Return what the codec of a content type makes of a value; None where it is not installed or does not take the value."""
    from srv.codecs import UnknownContentType, WrongCodec, input_codec  # here, because codecs are looked for

    try:
        codec = input_codec(content_type)
    except (UnknownContentType, WrongCodec):
        return None
    return codec.encode(name, value) if codec.can_encode(value) else None


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str | bytes) else value


def _cast(name: str, array: np.ndarray[Any, Any], datatype: str) -> np.ndarray[Any, Any]:
    """Return an array in the declared datatype. Raises UnfitInput where a value would change but by rounding a float."""
    dtype = DTYPES[datatype]
    if array.dtype == dtype:
        return array
    kinds = array.dtype.kind, dtype.kind
    if (kinds[0] in "iub" and kinds[1] == "f") or kinds == ("f", "f") or (kinds[0] == "b" and kinds[1] in "iu"):
        return _narrowed(name, array, dtype, datatype)
    if kinds[0] in "iu" and kinds[1] in "iu":
        limits = np.iinfo(dtype)
        if array.size and not (limits.min <= int(array.min()) and int(array.max()) <= limits.max):
            raise UnfitArray(name, f"has values that do not fit into {datatype}.")
        return array.astype(dtype)
    raise UnfitArray(name, f"is {array.dtype}, and the model takes {datatype}; convert it yourself.")


def _narrowed(name: str, array: np.ndarray[Any, Any], dtype: np.dtype[Any], datatype: str) -> np.ndarray[Any, Any]:
    with np.errstate(over="ignore"):
        narrow = array.astype(dtype)
    if dtype.kind == "f" and bool((np.isinf(narrow) & np.isfinite(array)).any()):
        raise UnfitArray(name, f"has values that do not fit into {datatype}.")
    return narrow


def _filled(tensor: Tensor, spec: Spec | None) -> Tensor:
    """Return the tensor with the rank of its declaration: a single value as an array of one, a list as a column."""
    shape = spec.shape if spec is not None else None
    if shape is None or len(shape) == tensor.data.ndim:
        return tensor
    data = tensor.data
    if data.size == 1 and data.ndim < 2 and all(length in (-1, 1) for length in shape):
        data = data.reshape((1,) * len(shape))
    elif data.ndim == 1 and len(shape) == 2 and shape[1] == 1:
        data = data.reshape(-1, 1)
    return Tensor.trusted(tensor.name, data, tensor.datatype, tensor.parameters, missing=tensor.missing)
