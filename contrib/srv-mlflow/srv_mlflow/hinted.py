"""Models whose signature comes from a type hint such as `list[str]`: requests become lists of Python's own values."""

from __future__ import annotations

from typing import Any

from mlflow.types import DataType, Schema

from srv import InferenceRequest, InvalidInput, ModelSettings, Spec
from srv.codecs import input_codec
from srv.errors import listed, quoted
from srv.tables import Column, Table
from srv_mlflow.columns import content_type_of, datatype_of

#: The name of the only input in the metadata; clients may call it what they like.
INPUT = "input"
#: Each type of the elements, and the kind of a column that reads it.
_KINDS = {
    DataType.boolean: "boolean",
    DataType.long: "integer",
    DataType.double: "float",
    DataType.string: "text",
    DataType.binary: "bytes",
    DataType.datetime: "datetime",
}


class SeveralInputs(InvalidInput):
    """The model takes a list, and the request brings several inputs."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(
            f"The model takes one input, a list of values; the request brings {listed(map(quoted, names))}."
        )


class Values:
    """Reads requests as a list of values. What is an object, a list or a map is the text of JSON in BYTES."""

    def __init__(self, schema: Schema, settings: ModelSettings) -> None:
        [spec] = schema.inputs
        self._kind = spec.type
        kind = _KINDS.get(spec.type) if isinstance(spec.type, DataType) else None
        self._table = None
        if kind is not None:
            column = Column(INPUT, kind, nullable=not spec.required)
            self._table = Table([column], frame=False, named=False, flat=True, settings=settings)

    def specs(self) -> list[Spec]:
        """Return the only input."""
        content_type = content_type_of(self._kind)
        parameters = {} if content_type is None else {"content_type": content_type}
        return [Spec(datatype_of(self._kind), (-1,), name=INPUT, parameters=parameters)]

    def read(self, request: InferenceRequest) -> Any:
        """Return the list. Raises InvalidInput that names the element that does not fit; MLflow itself looks into objects."""
        if len(request.inputs) != 1:
            raise SeveralInputs([tensor.name for tensor in request.inputs])
        if self._table is not None:
            return self._table.read(request).tolist()
        return input_codec("json").decode(request.inputs[0])

    def place_of_fault(self, data: Any) -> str:  # noqa: ARG002  as readers are asked
        """Return nothing: MLflow's own sentence says what it was looking at."""
        return ""
