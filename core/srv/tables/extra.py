"""What settings say of tables under `parameters.extra`: the kinds of columns, and the names of classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from marshmallow import ValidationError, fields

from srv.errors import SrvError

_OF_TRAINING = "Kinds of columns that the file does not say, such as {'size': {'category': ['S', 'M', 'L']}}, in the order of training."


class UnfitClasses(SrvError):
    """The settings name classes, and the model has another number of them, or none."""

    def __init__(self, given: int, wanted: int) -> None:
        has = f"has {wanted} classes" if wanted else "has no classes"
        super().__init__(f"parameters.extra.classes names {given} classes, and the model {has}.")


def columns_field(description: str = _OF_TRAINING) -> fields.Dict:
    """Return the field for the kinds of columns, by their names."""
    return fields.Dict(keys=fields.String(), load_default=dict, metadata={"description": description})


def classes_field(description: str) -> fields.List[Any]:
    """Return the field for the names of a model's classes: all texts, numbers or booleans, each once; None without them."""
    return fields.List(fields.Raw(), load_default=None, validate=_check_classes, metadata={"description": description})


def named_classes(classes: Sequence[Any] | None, count: int) -> np.ndarray[Any, Any] | None:
    """Return the names of so many classes by their places, None where settings name none. Raises UnfitClasses."""
    if classes is None:
        return None
    if len(classes) != count:
        raise UnfitClasses(len(classes), count)
    return np.array(classes)


def _check_classes(classes: list[Any]) -> None:
    kinds = {type(each) for each in classes}
    if len(kinds) != 1 or not kinds <= {str, int, float, bool} or len(set(classes)) != len(classes):
        raise ValidationError("Must be texts, numbers or booleans, all of one kind and each of them once.")
