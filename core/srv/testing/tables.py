"""The conformance check for runtimes of tables: the same answer to a table in each form and on each wire."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from srv.codecs import request_codec
from srv.errors import LoadFailed
from srv.messages import InferenceRequest, InferenceResponse
from srv.model_settings import Spec
from srv.runtime import Runtime
from srv.tensors import Tensor
from srv.testing.folders import NOTHING, Content, GivenModel, model
from srv.testing.in_process import Client
from srv.testing.requests import as_request
from srv.testing.transports import FORMS, Form

if TYPE_CHECKING:
    import pandas as pd

MODEL = "table"
_AS_JSON = {"content_type": "json"}


class WrongTable(AssertionError):
    """A runtime of tables gives a wrong answer, or none."""

    def __init__(
        self, what: str, advice: str = "Read the request with srv.tables.Table, and declare its specs."
    ) -> None:
        super().__init__(f"{what}.\n{advice}")


def assert_tables(
    runtime: type[Runtime] | str | GivenModel,
    *,
    frame: pd.DataFrame,
    expected: Mapping[str, Any],
    files: Mapping[str, Content] = NOTHING,
    settings: Mapping[str, Any] = NOTHING,
    forms: Sequence[Form] = FORMS,
) -> int:
    """Serve a model of this runtime in process, and send it a table in every way that clients do.

    `frame` goes as one tensor, as a tensor for each column, by the content type `pd` and as JSON objects, each over
    JSON, binary data and gRPC; `expected` are outputs, which must come bit for bit. The metadata must have an input for
    each column, and a request without a column, with one too many, or with rows of different counts must be a 400
    that names it. Gives the number of combinations that were tried. Raises WrongTable.
    """
    given = runtime if isinstance(runtime, GivenModel) else model(runtime, name=MODEL, files=files, **settings)
    try:
        client = Client.of(given)
    except LoadFailed as error:
        raise WrongTable(f"The model was not loaded: {error}", "Check `files` and `settings`.") from error
    with client:
        return assert_answers_tables(client, given.name, frame=frame, expected=expected, forms=forms)


def assert_answers_tables(
    client: Client, name: str, *, frame: pd.DataFrame, expected: Mapping[str, Any], forms: Sequence[Form] = FORMS
) -> int:
    """Do the same for a model that a client's server has loaded already."""
    count = 0
    inputs = client.assembled.dataplane.metadata(name).inputs
    is_known = all(spec.datatype is not None for spec in inputs)
    for title, requests in table_requests(frame, as_texts=is_known).items():
        for form in forms:
            carried = [request for request in requests if form.carries(request)]
            if not carried:
                raise WrongTable(f"{form.name} cannot carry {title}", "This is srv's fault: please report it.")
            for request in carried:
                asked = as_request(request.inputs, outputs=list(expected), parameters=request.parameters)
                answer = form.infer(client, name, asked)
                if not answer.ok:
                    raise WrongTable(f"Model '{name}' answers {title} over {form.name} with {answer}")
                _check_same(f"Model '{name}', asked with {title} over {form.name},", answer.response, expected)
            count += 1
    _check_metadata(client, name, frame)
    _check_refusals(client, name, frame)
    return count


def table_requests(frame: pd.DataFrame, *, as_texts: bool = True) -> dict[str, list[InferenceRequest]]:
    """Return a table in each form that clients send, by title, with each way of marking missing values.

    `as_texts` sends numbers as texts too, where one tensor holds numbers and words: that is for columns of known kinds.
    """
    columns = {str(name): _values(frame[name]) for name in frame.columns}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    elements = [json.dumps(row).encode() for row in rows]
    return {
        "one tensor": list(_as_one(frame, columns, as_texts=as_texts)),
        "a tensor for each column": [
            InferenceRequest([_as_column(frame[name], values) for name, values in columns.items()][::-1]),
            InferenceRequest([_as_column(frame[name], values, gaps=True) for name, values in columns.items()]),
        ],
        "the content type pd": [request_codec("pd").encode_request(frame)],
        "rows as JSON objects": [
            InferenceRequest([Tensor("rows", elements, "BYTES", parameters=_AS_JSON)]),
            InferenceRequest([Tensor("rows", elements, "BYTES", [len(rows), 1])], parameters=_AS_JSON),
        ],
    }


def _values(column: Any) -> list[Any]:
    """Return the column's values as JSON has them: ISO 8601 for datetimes, None for missing ones."""
    values = column.astype(object).tolist()
    plain = [None if gone else value for value, gone in zip(values, column.isna().tolist(), strict=True)]
    return [value if value is None or not hasattr(value, "isoformat") else value.isoformat() for value in plain]


def _as_one(frame: pd.DataFrame, columns: Mapping[str, list[Any]], *, as_texts: bool) -> Iterator[InferenceRequest]:
    kinds = {getattr(dtype, "kind", "O") for dtype in frame.dtypes}
    by_row = list(zip(*columns.values(), strict=True))
    if kinds <= {"i", "u", "f"}:
        numbers = [[math.nan if value is None else value for value in row] for row in by_row]
        yield InferenceRequest([Tensor("anything", np.array(numbers, np.int64 if kinds == {"i"} else np.float64))])
    else:
        texts = [
            [value if value is None or isinstance(value, str) else json.dumps(value) for value in row] for row in by_row
        ]
        if as_texts and any(isinstance(value, str) for values in columns.values() for value in values):
            yield InferenceRequest([Tensor("anything", texts, "BYTES")])
    elements = [[json.dumps(value).encode() for value in row] for row in by_row]
    yield InferenceRequest([Tensor("anything", elements, "BYTES", parameters=_AS_JSON)])


def _as_column(column: Any, values: list[Any], *, gaps: bool = False) -> Tensor:
    """Return the column as one tensor. With `gaps` BYTES mark missing values as in JSON, which every wire carries."""
    name = str(column.name)
    kinds = {type(value) for value in values} - {type(None)}
    missing = None in values
    dtype = getattr(column.dtype, "numpy_dtype", column.dtype)
    if getattr(dtype, "kind", "O") in "iuf":
        numbers = [math.nan if value is None else value for value in values]
        return Tensor(name, np.array(numbers, np.float64 if missing and dtype.kind != "f" else dtype))
    if kinds == {bool} and not missing:
        return Tensor(name, np.array(values))
    if kinds <= {str} and not (gaps and missing):
        parameters = {"content_type": "datetime"} if getattr(column.dtype, "kind", "O") == "M" else {}
        return Tensor(name, values, "BYTES", parameters=parameters)
    return Tensor(name, [json.dumps(value) for value in values], "BYTES", parameters=_AS_JSON)


def _check_same(where: str, response: InferenceResponse, expected: Mapping[str, Any]) -> None:
    given = {tensor.name: tensor for tensor in response.outputs}
    for name, values in expected.items():
        wanted = Tensor(name, values)
        if name not in given:
            raise WrongTable(f"{where} gives no output '{name}'", "See `expected`.")
        tensor = given[name]
        same = tensor.datatype == wanted.datatype and tensor.shape == wanted.shape
        if not (same and np.array_equal(tensor.data, wanted.data, equal_nan=wanted.data.dtype.kind == "f")):
            raise WrongTable(
                f"{where} gives {tensor} {_short(tensor)} and not {wanted} {_short(wanted)}",
                "Give the model what it was trained on, with its dtypes and missing values.",
            )


def _check_metadata(client: Client, name: str, frame: pd.DataFrame) -> None:
    declared: Sequence[Spec] = client.assembled.dataplane.metadata(name).inputs
    names = [str(each) for each in frame.columns]
    if len(names) > 1 and not set(names) <= {spec.name for spec in declared}:
        said = ", ".join(spec.name for spec in declared) or "none"
        raise WrongTable(
            f"The metadata of model '{name}' has the inputs {said}, and not one for each of {', '.join(names)}"
        )


def _check_refusals(client: Client, name: str, frame: pd.DataFrame) -> None:
    optional = {
        spec.name for spec in client.assembled.dataplane.metadata(name).inputs if spec.parameters.get("optional")
    }
    names = [str(each) for each in frame.columns]
    if len(names) == 1:
        return
    good = table_requests(frame)["a tensor for each column"][-1].inputs
    wrong = [
        (f"without the column '{tensor.name}'", [each for each in good if each is not tensor], tensor.name)
        for tensor in good
        if tensor.name not in optional
    ]
    wrong.append(("with a column too many", [*good, Tensor("a_column_too_many", good[0].data)], "a_column_too_many"))
    first = good[0]
    longer = Tensor(first.name, np.concatenate([first.data, first.data]), first.datatype, parameters=first.parameters)
    wrong.append((f"with more rows in the column '{first.name}'", [longer, *good[1:]], first.name))
    for what, inputs, named in wrong:
        answer = FORMS[0].infer(client, name, InferenceRequest(inputs))
        if answer.status != 400 or named not in str(answer.error):
            raise WrongTable(f"Model '{name}' answers a table {what} with {answer}, and not with a 400 that names it")


def _short(tensor: Tensor) -> str:
    return np.array2string(tensor.data, threshold=8).replace("\n", "")
