"""A booster: read from its file, and asked for each of its outputs. Imported by `load`, because it imports xgboost."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import xgboost
from scipy.special import softmax

from srv.errors import SrvError, quoted
from srv.tables import UnfitValue
from srv.tables.extra import named_classes
from srv_xgboost.categories import categories_of
from srv_xgboost.files import OldFormat, Unreadable

Array: TypeAlias = np.ndarray[Any, Any]

#: The objectives whose values are the probabilities of classes.
_PROBABILITIES = frozenset({"binary:logistic", "multi:softprob", "multi:softmax"})
#: XGBoost knows no codes of categories above this.
_MOST_CODES = 2**24


class TwoBuilds(SrvError):
    """xgboost and xgboost-cpu of different versions are installed, whose files lie over each other."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(
            f"xgboost {first} and xgboost-cpu {second} are both installed, and each has written over files of the other. "
            f"Uninstall both and install one: pip uninstall -y xgboost xgboost-cpu && pip install xgboost-cpu=={second}"
        )


class NoBestIteration(SrvError):
    """The settings ask for the best iteration, and the file does not tell it."""

    def __init__(self) -> None:
        super().__init__(
            "parameters.extra.best_iteration is true, and the model's file has no best iteration: it was trained without "
            "early stopping."
        )


class Booster:
    """A booster and its outputs. Threads share it, since predicting changes nothing in it; gblinear takes turns."""

    def __init__(
        self,
        file: Path,
        form: str,
        *,
        threads: int,
        missing: float,
        classes: Sequence[Any] | None,
        best_iteration: bool | None,
    ) -> None:
        _check_builds()
        self._booster = _read(file, form)
        self._booster.set_param({"nthread": threads})
        self._threads = threads
        self._missing = missing
        learner = json.loads(self._booster.save_config())["learner"]
        attributes = self._booster.attributes()
        self.names: list[str] | None = self._booster.feature_names
        self.types: list[str] | None = self._booster.feature_types
        self.width = int(self._booster.num_features())
        self.categories = categories_of(self._booster.save_raw("json")) if "c" in (self.types or ()) else {}
        self.objective = str(learner["objective"]["name"])
        self.kind = str(learner["gradient_booster"]["name"])
        self.estimator = str(json.loads(attributes.get("scikit_learn", "{}")).get("_estimator_type", "")) or None
        self._targets = int(learner["learner_model_param"].get("num_target", 1))
        self._classes = int(learner["learner_model_param"]["num_class"])
        self._labels = named_classes(classes, self._count_of_classes)
        self._is_classifier = classes is not None or self.estimator == "classifier"
        #: The places of columns that hold codes of categories which nobody has named.
        self.codes: Sequence[int] = ()
        self.iterations = self._iterations(attributes, wanted=best_iteration)
        # Because no other kind is safe to ask from several threads, as XGBoost's own documentation says.
        self._turns: AbstractContextManager[Any] = nullcontext() if self._is_of_trees else threading.Lock()

    # -- what the file tells --------------------------------------------------------------------------------------------

    def description(self) -> dict[str, Any]:
        """Return what the metadata has beside inputs and outputs."""
        found: dict[str, Any] = {
            "xgboost": xgboost.__version__,
            "objective": self.objective,
            "booster": self.kind,
        }
        if self.estimator is not None:
            found["estimator"] = self.estimator
        if self.names is not None:
            found["feature_names"] = self.names
        if self._labels is not None:
            found["classes"] = self._labels.tolist()
        elif self._is_classifier and self._count_of_classes:
            found["classes"] = list(range(self._count_of_classes))
        if self.iterations != (0, 0):
            found["best_iteration"] = self.iterations[1] - 1
        return found

    def outputs(self, *, with_interactions: bool) -> dict[str, Array]:
        """Return an example of each output that the booster has, computed for one row of zeros, the default first.

        Interactions take too long to be computed for nothing: the example has their shape.
        """
        found: dict[str, Array] = {}
        rows = self.rows(np.zeros((1, self.width), np.float32))
        for name in OUTPUTS:
            if name == "predict_proba" and self.objective not in _PROBABILITIES:
                continue
            if name == "interactions":
                if with_interactions and self._is_of_trees and "contributions" in found:
                    shape = found["contributions"].shape
                    found[name] = np.zeros((*shape, shape[-1]), np.float32)
                continue
            try:
                found[name] = OUTPUTS[name](rows)
            except xgboost.core.XGBoostError:
                if name == "predict":
                    raise
        return found

    def rows(self, rows: Array) -> Rows:
        """Return rows whose outputs can be asked for. Raises UnfitValue for what is no code of a category."""
        for place in self.codes:
            with np.errstate(invalid="ignore"):
                wrong = (rows[:, place] < 0) | (rows[:, place] >= _MOST_CODES)
            if wrong.any():
                row = int(wrong.argmax())
                raise UnfitValue(self._title(place), row, f"the number {rows[row, place]:g}", "the code of a category")
        return Rows(self, rows)

    @property
    def _count_of_classes(self) -> int:
        """The number of classes of which a row has one; 0 for a regression, and for a model of several labels."""
        if self._classes > 1:
            return self._classes
        is_binary = self.objective.startswith("binary:") and self._targets == 1
        return 2 if is_binary or (self.estimator == "classifier" and self._targets == 1) else 0

    @property
    def _is_of_trees(self) -> bool:
        return self.kind != "gblinear"

    def _iterations(self, attributes: dict[str, str], *, wanted: bool | None) -> tuple[int, int]:
        """Return the iterations that answer, (0, 0) for all: up to the best one where an estimator has saved the file."""
        best = attributes.get("best_iteration")
        if best is None or not self._is_of_trees:
            if wanted:
                raise NoBestIteration
            return (0, 0)
        uses_best = wanted if wanted is not None else self.estimator is not None
        return (0, int(best) + 1) if uses_best else (0, 0)

    # -- what is asked of it --------------------------------------------------------------------------------------------

    def value(self, rows: Array, *, margin: bool) -> Array:
        """Return the prediction for each row, or the margin that it is made of."""
        if not self._is_of_trees:
            return self.asked(self.matrix(rows), output_margin=margin)
        found: Array = self._booster.inplace_predict(
            rows,
            iteration_range=self.iterations,
            predict_type="margin" if margin else "value",
            missing=self._missing,
            validate_features=False,
        )
        return found

    def matrix(self, rows: Array) -> Any:
        """Return rows in the form that all outputs but predictions need. Raises UnfitValue for infinity."""
        self._check_finite(rows)
        return xgboost.DMatrix(
            rows,
            missing=self._missing,
            nthread=self._threads,
            feature_names=self.names,
            feature_types=self.types,
            enable_categorical=True,
        )

    def _check_finite(self, rows: Array) -> None:
        if rows.dtype.kind != "f" or np.isinf(self._missing):
            return
        with np.errstate(all="ignore"):
            wrong = np.isinf(rows.astype(np.float32, copy=False))
        if wrong.any():
            row, place = (int(each) for each in np.argwhere(wrong)[0])
            raise UnfitValue(self._title(place), row, "infinity or a number too large", "a number of 32 bits")

    def _title(self, place: int) -> str:
        return f"Column {place}" if self.names is None else f"Column {quoted(self.names[place])}"

    def asked(self, matrix: Any, **what: bool) -> Array:
        """Return what the booster predicts for a matrix."""
        with self._turns:
            found: Array = self._booster.predict(matrix, iteration_range=self.iterations, **what)
        return found

    def predicted(self, value: Array) -> Array:
        """Return what `predict` of the object gives that has saved the file: classes of a classifier, else values."""
        if not self._is_classifier:
            return value
        if value.ndim == 2 and self._classes > 1:
            places: Array = value.argmax(axis=1)
        elif value.ndim == 2:
            return (value > 0.5).astype(np.float64)  # several labels
        elif self.objective == "multi:softmax":
            places = value.astype(np.int32)
        else:
            places = (value > 0.5).astype(np.int64)
        return places if self._labels is None else self._labels[places]


class Rows:
    """The rows of one request; what several outputs need is computed once."""

    def __init__(self, booster: Booster, rows: Array) -> None:
        self._booster = booster
        self._rows = rows

    @cached_property
    def _value(self) -> Array:
        return self._booster.value(self._rows, margin=False)

    @cached_property
    def margin(self) -> Array:
        """The margin of each row, before the objective makes a prediction of it."""
        return self._booster.value(self._rows, margin=True)

    @cached_property
    def _matrix(self) -> Any:
        return self._booster.matrix(self._rows)

    @property
    def predict(self) -> Array:
        """The prediction for each row."""
        return self._booster.predicted(self._value)

    @property
    def predict_proba(self) -> Array:
        """The probability of each class, or of each label where a row may have several."""
        if self._booster.objective == "multi:softmax":
            found: Array = softmax(self.margin, axis=1)
            return found
        value = self._value
        return value if value.ndim == 2 else np.column_stack((1.0 - value, value))

    @property
    def leaf(self) -> Array:
        """The index of the leaf in which each tree has put the row."""
        return self._booster.asked(self._matrix, pred_leaf=True).reshape(len(self._rows), -1).astype(np.int32)

    @property
    def contributions(self) -> Array:
        """What each feature has added to the margin, and the bias last: SHAP values."""
        return self._booster.asked(self._matrix, pred_contribs=True)

    @property
    def interactions(self) -> Array:
        """What each pair of features has added to the margin: SHAP interaction values."""
        return self._booster.asked(self._matrix, pred_interactions=True)


#: The outputs by name, the default first.
OUTPUTS: dict[str, Callable[[Rows], Array]] = {
    "predict": lambda rows: rows.predict,
    "predict_proba": lambda rows: rows.predict_proba,
    "margin": lambda rows: rows.margin,
    "leaf": lambda rows: rows.leaf,
    "contributions": lambda rows: rows.contributions,
    "interactions": lambda rows: rows.interactions,
}


def _read(file: Path, form: str) -> Any:
    booster = xgboost.Booster()
    try:
        # Because the format of a path is guessed from the ending alone, which may be another one's after a renaming.
        booster.load_model(file if file.suffix == f".{form}" else bytearray(file.read_bytes()))
    except xgboost.core.XGBoostError as error:
        if form == "deprecated":
            raise OldFormat(file, xgboost.__version__) from error
        raise Unreadable(file, xgboost.__version__, _first_line(error)) from error
    return booster


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0].partition("] ")[2] or lines[0]) if lines else type(error).__name__


def _check_builds() -> None:
    """Raise TwoBuilds where xgboost and xgboost-cpu lie over each other in different versions."""
    try:
        first, second = version("xgboost"), version("xgboost-cpu")
    except PackageNotFoundError:
        return
    if first != second:
        raise TwoBuilds(first, second)
