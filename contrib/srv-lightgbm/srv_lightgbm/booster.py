"""A booster: read from its file, and asked for each of its outputs. Imported by `load`, because it imports lightgbm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import lightgbm
import numpy as np

from srv.errors import quoted
from srv.tables import UnfitValue
from srv.tables.extra import named_classes
from srv_lightgbm.columns import is_made_up
from srv_lightgbm.files import NotLightGBM, Unreadable, header_of, is_lightgbm

Array: TypeAlias = np.ndarray[Any, Any]

#: The objectives whose values are the probabilities of classes.
_PROBABILITIES = frozenset({"binary", "multiclass", "multiclassova"})
#: LightGBM knows no codes of categories above this.
_HIGHEST_CODE = 2**31 - 1
#: Steps, one for each row and tree, from which on several threads pay: about a millisecond. Below, waking and waiting for them
#: costs more than it saves, on a busy machine a hundred times the work of one row.
_MANY_STEPS = 20_000
#: How many steps a tree is for SHAP values.
_STEPS_OF_CONTRIBUTIONS = 50


class Booster:
    """A booster and its outputs. Threads share it, since predicting changes nothing in it."""

    def __init__(self, file: Path, *, cores: int, classes: Sequence[Any] | None) -> None:
        if not is_lightgbm(file):
            raise NotLightGBM(file)
        header = header_of(file)
        self._booster = _read(file)
        self._cores = cores
        self.names: list[str] = self._booster.feature_name()
        self.width = len(self.names)
        self.infos = header.get("feature_infos", "").split(" ")
        self.categories: list[list[Any]] = self._booster.pandas_categorical or []
        self.category_places = self._category_places()
        self.objective = header.get("objective", "").partition(" ")[0] or None
        self._per_row = int(self._booster.num_model_per_iteration())
        self._trees = int(self._booster.num_trees())
        self._labels = named_classes(classes, self._count_of_classes)
        #: The places of columns that hold codes of categories which nobody has named.
        self.codes: Sequence[int] = ()

    # -- what the file tells --------------------------------------------------------------------------------------------

    def description(self) -> dict[str, Any]:
        """Return what the metadata has beside inputs and outputs."""
        found: dict[str, Any] = {"lightgbm": lightgbm.__version__}
        if self.objective is not None:
            found["objective"] = self.objective
        if not is_made_up(self.names):
            found["feature_names"] = self.names
        if self._labels is not None:
            found["classes"] = self._labels.tolist()
        return found

    def outputs(self) -> dict[str, Array]:
        """Return an example of each output that the booster has, computed for one row of zeros, the default first."""
        found: dict[str, Array] = {}
        rows = self.rows(np.zeros((1, self.width)))
        for name in OUTPUTS:
            if name == "predict_proba" and not self._count_of_classes:
                continue
            if name == "contributions" and self._booster.params.get("linear_tree"):
                continue  # here, because LightGBM writes a line that begins with [Fatal] when it is asked for them
            try:
                found[name] = OUTPUTS[name](rows)
            except lightgbm.basic.LightGBMError:
                if name == "predict":
                    raise
        return found

    def rows(self, rows: Array) -> Rows:
        """Return rows whose outputs can be asked for. Raises UnfitValue for what is no code of a category."""
        for place in self.codes:
            with np.errstate(invalid="ignore"):
                wrong = rows[:, place] > _HIGHEST_CODE
            if wrong.any():
                row = int(wrong.argmax())
                title = f"Column {place}" if is_made_up(self.names) else f"Column {quoted(self.names[place])}"
                raise UnfitValue(title, row, f"the number {rows[row, place]:g}", "the code of a category")
        if rows.dtype.kind != "f" and not is_made_up(self.names):
            rows = rows.astype(np.float64)  # as a DataFrame becomes; LightGBM makes float32 of an array of integers
        return Rows(self, rows)

    def _category_places(self) -> list[int]:
        places = self._booster.params.get("categorical_feature") or []
        return sorted(int(place) for place in places if str(place).isdigit()) if isinstance(places, list) else []

    @property
    def _count_of_classes(self) -> int:
        """The number of classes of which a row has one; 0 for all but classifiers."""
        if self.objective not in _PROBABILITIES:
            return 0
        return 2 if self.objective == "binary" else self._per_row

    # -- what is asked of it --------------------------------------------------------------------------------------------

    def asked(self, rows: Array, **what: bool) -> Array:
        """Return what the booster predicts for rows."""
        steps = len(rows) * self._trees * (_STEPS_OF_CONTRIBUTIONS if "pred_contrib" in what else 1)
        threads = self._cores if steps >= _MANY_STEPS else 1
        found: Array = self._booster.predict(rows, num_threads=threads, **what)
        return found

    def predicted(self, rows: Rows) -> Array:
        """Return the names of classes where the settings tell them, else what the booster predicts."""
        return rows.value if self._labels is None else self._labels[rows.predict_proba.argmax(axis=1)]

    def by_class(self, contributions: Array) -> Array:
        """Return contributions as an array for each class, where the model has several."""
        if self._per_row == 1:
            return contributions
        return contributions.reshape(len(contributions), self._per_row, self.width + 1)


class Rows:
    """The rows of one request; what several outputs need is computed once."""

    def __init__(self, booster: Booster, rows: Array) -> None:
        self._booster = booster
        self._rows = rows

    @cached_property
    def value(self) -> Array:
        """What the booster predicts."""
        return self._booster.asked(self._rows)

    @property
    def predict(self) -> Array:
        """The prediction for each row."""
        return self._booster.predicted(self)

    @property
    def predict_proba(self) -> Array:
        """The probability of each class."""
        value = self.value
        return value if value.ndim == 2 else np.column_stack((1.0 - value, value))

    @property
    def raw_score(self) -> Array:
        """The sum of the trees, before the objective makes a prediction of it."""
        return self._booster.asked(self._rows, raw_score=True)

    @property
    def leaf(self) -> Array:
        """The index of the leaf in which each tree has put the row."""
        return self._booster.asked(self._rows, pred_leaf=True).reshape(len(self._rows), -1)

    @property
    def contributions(self) -> Array:
        """What each feature has added to the raw score, and the expected value last: SHAP values."""
        return self._booster.by_class(self._booster.asked(self._rows, pred_contrib=True))


#: The outputs by name, the default first.
OUTPUTS: dict[str, Callable[[Rows], Array]] = {
    "predict": lambda rows: rows.predict,
    "predict_proba": lambda rows: rows.predict_proba,
    "raw_score": lambda rows: rows.raw_score,
    "leaf": lambda rows: rows.leaf,
    "contributions": lambda rows: rows.contributions,
}


def _read(file: Path) -> Any:
    try:
        return lightgbm.Booster(model_file=file)
    except (lightgbm.basic.LightGBMError, ValueError) as error:
        raise Unreadable(file, lightgbm.__version__, str(error)) from error
