"""Models without a signature: requests become what their content types say."""

from __future__ import annotations

from typing import Any

from srv import InferenceRequest, InvalidInput
from srv.codecs import request_codec


class NothingGiven(InvalidInput):
    """The request brings no input."""

    def __init__(self) -> None:
        super().__init__("The request brings no input, and the model needs one.")


class Anything:
    """Reads requests for models that do not say what they take.

    With the content type `pd` a request is a DataFrame. Otherwise one input is its own value, an array where it has no
    content type, and several are a dict of these by name.
    """

    def specs(self) -> None:
        """Return None, since nobody knows the inputs."""

    def read(self, request: InferenceRequest) -> Any:
        """Return the DataFrame, the value or the dict. Raises InvalidInput for what is not of its content type."""
        if not request.inputs:
            raise NothingGiven
        if request.parameters.get("content_type") == "pd":
            return request_codec("pd").decode_request(request)
        values = {tensor.name: request.decode(tensor.name) for tensor in request.inputs}
        return values if len(values) > 1 else next(iter(values.values()))

    def place_of_fault(self, data: Any) -> str:  # noqa: ARG002  as readers are asked
        """Return nothing: MLflow checks nothing without a signature."""
        return ""
