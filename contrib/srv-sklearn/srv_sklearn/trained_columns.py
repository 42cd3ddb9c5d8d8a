"""The columns that a fitted estimator was trained on, from its attributes: names, kinds and missing values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from srv.tables import Column


@dataclass
class Traits:
    """The traits of one column, collected from the estimator's steps."""

    kinds: set[str] = field(default_factory=set)
    #: What a missing value was in training: "none", "nan" or "na".
    missing: str | None = None
    nullable: bool = True
    #: The timezone of its datetimes, where they had one.
    timezone: str | None = None
    #: pandas' dtype, where an encoder takes no other.
    dtype: str | None = None
    #: Whether an indicator of missing values reads it, which takes booleans as objects only.
    is_indicated: bool = False
    #: Whether an imputer fills what is missing before the next step reads it.
    is_imputed: bool = False
    #: Whether any step reads the column.
    is_used: bool = False
    #: A value that the steps are known to take, for trying the estimator.
    example: Any = None
    #: The values that an encoder knows, where it refuses all others.
    known: frozenset[Any] | None = None  # with None where a missing value is one of them

    def column(self, name: str, *, may_be_left_out: bool) -> Column:
        """Return the column, of the kind on which all steps agree."""
        kind = self._kind()
        return Column(
            name,
            kind,
            dtype=self._dtype(kind),
            missing=self.missing,
            timezone=self.timezone if kind == "datetime" else None,
            nullable=self.nullable,
            optional=may_be_left_out and not self.is_used,
        )

    def _dtype(self, kind: str) -> str | None:
        if self.is_indicated and kind in ("any", "boolean"):
            return "object"
        return self.dtype if kind == "number" else None

    def _kind(self) -> str:
        kinds = set(self.kinds)
        if len(kinds) > 1:
            kinds.discard("number")  # because a step that computes takes integers and booleans too
        return kinds.pop() if len(kinds) == 1 else "any"


@dataclass(frozen=True)
class Learnt:
    """What an estimator was trained on. `flat` is one text for each sample and no table."""

    columns: Sequence[Column]
    examples: Sequence[Any]
    is_named: bool
    is_flat: bool = False
    #: column → the values that its encoder knows, where it refuses all others.
    known: Mapping[str, frozenset[Any]] = field(default_factory=dict)


def learn(estimator: Any) -> Learnt | None:
    """Return the columns that the estimator was trained on; None if it does not say how many there are."""
    if reads_text(estimator):
        text = Column("input", "text", nullable=False)
        return Learnt([text], ["text"], is_named=False, is_flat=True)
    features = getattr(estimator, "n_features_in_", None)
    if features is None:
        return None
    names = getattr(estimator, "feature_names_in_", None)
    traits = [Traits() for _ in range(features)]
    _walk(estimator, traits)
    drops = names is not None and _drops_columns(estimator)
    called = [str(name) for name in names] if names is not None else [str(place) for place in range(features)]
    columns = [each.column(name, may_be_left_out=drops) for each, name in zip(traits, called, strict=True)]
    known = {name: each.known for name, each in zip(called, traits, strict=True) if each.known is not None}
    return Learnt(columns, [each.example for each in traits], is_named=names is not None, known=known)


def reads_text(estimator: Any) -> bool:
    """Whether the estimator, the first step of a pipeline, or that of a vote's is a vectoriser of texts."""
    first = _first_step(estimator)
    if inner := _inner(first):
        return any(reads_text(each) for each in inner)
    if hasattr(first, "transformer_list"):
        return any(reads_text(transformer) for _, transformer in first.transformer_list)
    return hasattr(first, "build_analyzer")


def _drops_columns(estimator: Any) -> bool:
    """Whether the first step chooses its columns by name, and so takes tables without those that it drops."""
    return hasattr(_first_step(estimator), "_transformer_to_input_indices")


def _first_step(estimator: Any) -> Any:
    """Return the first step of a pipeline, or of a search's best one; any other estimator itself."""
    while hasattr(estimator, "steps") or hasattr(estimator, "best_estimator_"):
        estimator = estimator.steps[0][1] if hasattr(estimator, "steps") else estimator.best_estimator_
    return estimator


def _walk(estimator: Any, columns: Sequence[Traits]) -> None:
    """Add to each column what the estimator says of it; the estimator reads exactly these columns."""
    if estimator is None or estimator == "passthrough":
        return
    if hasattr(estimator, "steps"):
        _walk_pipeline([step for _, step in estimator.steps], columns)
    elif hasattr(estimator, "_transformer_to_input_indices"):
        _walk_transformers(estimator, columns, ())
    elif hasattr(estimator, "transformer_list"):
        _walk_each((transformer for _, transformer in estimator.transformer_list), columns)
    elif getattr(estimator, "_preprocessor", None) is not None:
        _walk(estimator._preprocessor, columns)
        _add_kind([each for each in columns if not each.kinds], "number")  # the rest is not encoded
    elif hasattr(estimator, "build_analyzer"):
        _add_kind(columns, "text", example="text")
        for each in columns:
            each.nullable = False
    elif hasattr(estimator, "categories_"):
        _walk_categories(estimator, columns)
    elif hasattr(estimator, "_fit_dtype") and hasattr(estimator, "statistics_"):
        _walk_imputer(estimator, columns)
    else:
        _walk_plain(estimator, columns)


def _walk_plain(estimator: Any, columns: Sequence[Traits]) -> None:
    """Handle estimators that keep no values of their columns: those that pass the table on, and those that compute."""
    if type(estimator).__name__ == "MissingIndicator":
        _walk_indicator(estimator, columns)
    elif type(estimator).__name__ in _BAGS:
        for inner, features in zip(estimator.estimators_, estimator.estimators_features_, strict=True):
            _walk(inner, [columns[feature] for feature in features])
    elif (inner := _inner(estimator)) is not None:
        _walk_each(inner, columns)
    else:
        _mark_used(columns)
        if _computes(estimator):
            _add_kind(columns, "number")


def _walk_pipeline(steps: list[Any], columns: Sequence[Traits]) -> None:
    """Walk through the first step, and the steps after it that get the same columns."""
    for place, step in enumerate(steps):
        if hasattr(step, "_transformer_to_input_indices"):
            _walk_transformers(step, columns, steps[place + 1 :])
            return
        _walk(step, columns)
        if not _keeps_columns(step, len(columns)):
            return


def _keeps_columns(step: Any, width: int) -> bool:
    """Whether a step gives out the columns that it takes, with no change but in missing values."""
    if step is None or step == "passthrough":
        return True
    if type(step).__name__ == "FunctionTransformer":
        return step.func is None
    if hasattr(step, "_fit_dtype") and hasattr(step, "statistics_"):
        return len(step.statistics_) == width and not step.add_indicator and not _drops_empty(step)
    return False


def _drops_empty(imputer: Any) -> bool:
    return not getattr(imputer, "keep_empty_features", False) and any(_is_nan(each) for each in imputer.statistics_)


def _walk_transformers(transformer: Any, columns: Sequence[Traits], later: list[Any] | tuple[Any, ...]) -> None:
    """Walk through a ColumnTransformer. Columns that pass through it are read by the step behind it."""
    indices = transformer._transformer_to_input_indices
    for name, inner, _ in transformer.transformers_:
        chosen = [columns[index] for index in indices.get(name, ())]
        if isinstance(inner, str) and inner == "drop":
            continue
        _mark_used(chosen)
        if _passes(inner):
            rest = [step for step in later if not _passes(step)]
            if rest and _computes(rest[0]):
                _add_kind(chosen, "number")
        else:
            _walk(inner, chosen)


def _passes(step: Any) -> bool:
    if step is None or (isinstance(step, str) and step == "passthrough"):
        return True
    return type(step).__name__ == "FunctionTransformer" and step.func is None and not step.validate


def _walk_each(estimators: Iterable[Any], columns: Sequence[Traits]) -> None:
    for estimator in estimators:
        if not (isinstance(estimator, str) and estimator == "drop"):
            _walk(estimator, columns)


def _walk_categories(encoder: Any, columns: Sequence[Traits]) -> None:
    for column, categories in zip(columns, encoder.categories_, strict=False):
        column.is_used = True
        column.timezone = column.timezone or _timezone_of(categories)
        kind = _kind_of(categories)
        if kind is not None:
            column.kinds.add(kind)
        if kind == "number" and categories.dtype.kind == "O":
            column.dtype = "object"  # because it compares objects with objects only
        elif categories.dtype == np.float32:
            column.dtype = "float32"  # because 0.1 of another width is another category
        values = (categories.astype("M8[us]") if categories.dtype.kind == "M" else categories).tolist()
        known = [each for each in values if not _is_missing(each)]
        if column.example is None and known:
            column.example = known[0].isoformat() if isinstance(known[0], datetime) else known[0]
        if getattr(encoder, "handle_unknown", "") == "error":
            takes_missing = column.is_imputed or len(known) < len(values)
            column.known = frozenset([*known, None] if takes_missing else known)
        for each in values:
            if _is_missing(each):
                column.missing = "none" if each is None else "nan" if _is_nan(each) else "na"


def _walk_imputer(imputer: Any, columns: Sequence[Traits]) -> None:
    _mark_used(columns)
    for column in columns:
        column.is_imputed = True
    if imputer._fit_dtype.kind in "iuf" and np.asarray(imputer.statistics_).dtype.kind in "iuf":
        _add_kind(columns, "number")
        return
    _set_missing(columns, imputer.missing_values)
    for column, value in zip(columns, imputer.statistics_, strict=False):
        if isinstance(value, str) and not _is_filled(imputer):
            column.kinds.add("text")
            column.example = value
        elif isinstance(value, bool | np.bool_) and not _is_filled(imputer):
            column.kinds.add("boolean")


def _walk_indicator(indicator: Any, columns: Sequence[Traits]) -> None:
    """Record what a missing value was in training; the columns of an indicator may have any kind."""
    _mark_used(columns)
    _set_missing(columns, indicator.missing_values)
    for column in columns:
        column.is_indicated = True


def _set_missing(columns: Iterable[Traits], value: Any) -> None:
    for column in columns:
        if column.missing is None:
            column.missing = "none" if value is None else "nan" if _is_nan(value) else None


def _is_filled(imputer: Any) -> bool:
    """Whether the imputer fills in a constant, which tells nothing of the column."""
    return bool(imputer.strategy == "constant")


def _inner(estimator: Any) -> list[Any] | None:
    """Return the fitted estimators to which a search, a vote or a stack passes its table; None for others."""
    for name in ("best_estimator_", "regressor_"):
        if hasattr(estimator, name):
            return [getattr(estimator, name)]
    if hasattr(estimator, "calibrated_classifiers_"):
        return [each.estimator for each in estimator.calibrated_classifiers_]
    if type(estimator).__name__ in _META_ESTIMATORS and hasattr(estimator, "estimators_"):
        return list(estimator.estimators_)
    if type(estimator).__name__ in _META_ESTIMATORS and hasattr(estimator, "estimator_"):
        return [estimator.estimator_]
    return None


#: Estimators that turn their table into an array of any kind of values, and pass some of its columns to each estimator.
_BAGS = frozenset({"BaggingClassifier", "BaggingRegressor"})
_META_ESTIMATORS = frozenset(
    {
        "VotingClassifier",
        "VotingRegressor",
        "StackingClassifier",
        "StackingRegressor",
        "MultiOutputClassifier",
        "MultiOutputRegressor",
        "OneVsRestClassifier",
        "OneVsOneClassifier",
        "FixedThresholdClassifier",
        "TunedThresholdClassifierCV",
        "SelfTrainingClassifier",
    }
)


def _computes(estimator: Any) -> bool:
    """Whether it is an estimator of scikit-learn's own that takes a matrix of numbers and nothing else.

    A pipeline is one where its first step is, and a search, vote or bag where all that it asks are.
    """
    if hasattr(estimator, "steps"):
        rest = [step for _, step in estimator.steps if not _passes(step)]
        return bool(rest) and _computes(rest[0])
    inner = list(estimator.estimators_) if type(estimator).__name__ in _BAGS else _inner(estimator)
    if inner:
        return all(_computes(each) for each in inner)
    module = type(estimator).__module__
    if not module.startswith("sklearn.") or module.startswith(("sklearn.dummy", "sklearn.compose", "sklearn.pipeline")):
        return False
    if type(estimator).__name__ == "FunctionTransformer":
        return bool(estimator.validate) and estimator.func is None
    takes_words = hasattr(estimator, "categories_") or getattr(estimator, "_preprocessor", None) is not None
    return not takes_words


def _mark_used(columns: Iterable[Traits]) -> None:
    for column in columns:
        column.is_used = True


def _add_kind(columns: Iterable[Traits], kind: str, *, example: Any = None) -> None:
    for column in columns:
        column.is_used = True
        column.kinds.add(kind)
        if column.example is None:
            column.example = example


def _kind_of(categories: np.ndarray[Any, Any]) -> str | None:
    """Return the kind of the values that an encoder has seen; None if they are of several kinds."""
    if categories.dtype.kind == "b":
        return "boolean"
    if categories.dtype.kind in "iu":
        return "integer"
    if categories.dtype.kind == "f":
        return "number"
    if categories.dtype.kind == "M":
        return "datetime"
    kinds = {type(each) for each in categories.tolist() if not _is_missing(each)}
    if kinds == {str}:
        return "text"
    if kinds == {bool}:
        return "boolean"
    if kinds and kinds <= {int, float}:
        return "number"
    if kinds and all(issubclass(kind, datetime) for kind in kinds):
        return "datetime"
    return None


def _timezone_of(categories: np.ndarray[Any, Any]) -> str | None:
    """Return the timezone of an encoder's datetimes, by its name in the timezone database; None for naive ones."""
    if categories.dtype.kind != "O":
        return None
    zones = {each.tzinfo for each in categories.tolist() if isinstance(each, datetime)} - {None}
    if not zones:
        return None
    names = {getattr(zone, "key", None) or getattr(zone, "zone", None) for zone in zones}
    name = names.pop()
    return str(name) if name is not None and not names else "UTC"  # equal moments are equal in every timezone


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and value != value


def _is_missing(value: Any) -> bool:
    return value is None or _is_nan(value) or type(value).__name__ in ("NAType", "NaTType")
