"""Errors of onnxruntime in a run, which is the client's fault where an operator refuses the values of a request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from srv import InvalidInput
from srv.errors import listed

#: A failure in an operator; of operators within others, such as a loop's, the innermost one stands last.
_OPERATOR = re.compile(r"while running (\w+) node")
#: The codes of failures that follow from values and shapes: FAIL, INVALID_ARGUMENT and RUNTIME_EXCEPTION.
_CODE = re.compile(r"\[ONNXRuntimeError\] : [126] : ")
_NOT_BY_VALUES = re.compile(r"alloc|memory|cuda|cudnn|cublas", re.IGNORECASE)


class UnfitValues(InvalidInput):
    """An operator of the model refuses the values or shapes of a request."""

    def __init__(self, operator: str, feed: Mapping[str, np.ndarray[Any, Any]]) -> None:
        shapes = [f"{name} {list(array.shape)}" for name, array in feed.items()]
        super().__init__(
            f"The model cannot compute with these values: its operator {operator} refuses them, the inputs being "
            f"{listed(shapes)}."
        )


def as_clients_fault(error: Exception, feed: Mapping[str, np.ndarray[Any, Any]]) -> InvalidInput | None:
    """Return the error for a client whose values an operator refuses; None where the client is not at fault.

    Inputs have the declared datatypes, ranks and fixed lengths by then. What is left are values, such as an index out of
    range, and lengths that do not go together. Memory that is lacking is not the client's fault.
    """
    said = str(error)
    operators = _OPERATOR.findall(said)
    if not operators or not _CODE.match(said) or _NOT_BY_VALUES.search(said):
        return None
    return UnfitValues(operators[-1], feed)
