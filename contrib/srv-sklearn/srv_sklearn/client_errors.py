"""Errors of scikit-learn about a request's data, as sentences for the client."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from srv.errors import InvalidInput, quoted

_NO_FLOAT = re.compile(r"could not convert string to float: ['\"]?(.*?)['\"]?$", re.DOTALL)
#: Beginnings of the other messages of scikit-learn about its data.
_BEGINNINGS = (
    "Input X contains",
    "Input contains",
    "Found array with 0 sample",
    "Unknown label type",
    "np.nan is an invalid document",
)


class Unusable(InvalidInput):
    """The estimator cannot use the values of a request."""


def as_clients_fault(error: Exception, rows: Any, known: Mapping[str, Collection[Any]]) -> InvalidInput | None:
    """Return the error for a client whose data scikit-learn refuses; None where the client is not at fault.

    `known` are the values that encoders know, by column, which tell the place of an unknown one.
    """
    said = str(error)
    if found := _NO_FLOAT.search(said):
        place = _place_of_text(rows, found[1])
        return Unusable(f"{place}could not convert string to float: {quoted(found[1])}.")
    if said.startswith("Found unknown categories"):
        return Unusable(_unknown_category(rows, known))
    if isinstance(error, ValueError) and said.startswith(_BEGINNINGS):
        first = said.partition("\n")[0].rstrip(".")
        return Unusable(f"{first}{_place_of_missing(rows, said)}.")
    return None


def _unknown_category(rows: Any, known: Mapping[str, Collection[Any]]) -> str:
    for place, (title, values) in enumerate(_columns(rows)):
        name = str(rows.columns[place]) if hasattr(rows, "columns") else str(place)
        for row, value in enumerate(values.tolist() if name in known else ()):
            is_missing = value is None or value != value
            if (None if is_missing else value) not in known[name]:
                found = "missing" if is_missing else quoted(value)
                return f"Found unknown categories: {title}, row {row}, is {found}, which the model was not trained on."
    return "Found unknown categories, which the model was not trained on."


def _place_of_missing(rows: Any, said: str) -> str:
    """Return where the first missing or infinite value is, as the end of a sentence."""
    if "contains" not in said:
        return ""
    for title, values in _columns(rows):
        if values.dtype.kind == "f":
            wrong = ~np.isfinite(values) if "infinity" in said else np.isnan(values)
        elif values.dtype.kind == "O" and "NaN" in said:
            wrong = np.array([each is None or each != each for each in values.tolist()], dtype=bool)
        else:
            continue
        if wrong.any():
            return f": {title}, row {int(wrong.argmax())}"
    return ""


def _place_of_text(rows: Any, text: str) -> str:
    for title, values in _columns(rows):
        if values.dtype.kind == "O":
            for row, value in enumerate(values.tolist()):
                if isinstance(value, str) and value == text:
                    return f"{title[0].upper()}{title[1:]}, row {row}: "
    return ""


def _columns(rows: Any) -> list[tuple[str, np.ndarray[Any, Any]]]:
    if hasattr(rows, "columns"):
        return [(f"column {quoted(name)}", _plain(rows[name])) for name in rows.columns]
    if isinstance(rows, np.ndarray) and rows.ndim == 2:
        return [(f"column {place}", rows[:, place]) for place in range(rows.shape[1])]
    return []


def _plain(series: Any) -> np.ndarray[Any, Any]:
    if isinstance(series.dtype, np.dtype):
        values = np.asarray(series)
        return values.astype("M8[us]") if values.dtype.kind == "M" else values  # which has datetimes for elements
    missing = series.isna().to_numpy()
    values = series.astype(object).to_numpy(copy=True)
    values[missing] = None
    return np.asarray(values)
