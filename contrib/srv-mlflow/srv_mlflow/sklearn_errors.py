"""Errors of scikit-learn about values that a model does not take, which the signature cannot say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from srv.errors import InvalidInput, closed, quoted

_BEGINNINGS = ("Input X contains", "Input contains", "Found unknown categories", "Found array with 0 sample")


class UnfitValues(InvalidInput):
    """The estimator refuses the values of a request."""

    def __init__(self, said: str, place: str) -> None:
        super().__init__(closed(f"{place}{said[:300].rstrip('.')}"))


def of_scikit_learn(error: ValueError, data: Any) -> InvalidInput | None:
    """Return the error for a client whose values scikit-learn refuses; None where the client is not at fault."""
    said = str(error).partition("\n")[0]
    if not said.startswith(_BEGINNINGS):
        return None
    return UnfitValues(said, _place_of_missing(data) if "NaN" in said else "")


def _place_of_missing(data: Any) -> str:
    """Return where the first missing value is, as the beginning of a sentence."""
    if not isinstance(data, pd.DataFrame) or not (places := np.argwhere(data.isna().to_numpy())).size:
        return ""
    row, column = places[0].tolist()
    return f"Column {quoted(data.columns[column])}, row {row}: "
