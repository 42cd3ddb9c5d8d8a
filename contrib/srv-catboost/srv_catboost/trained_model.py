"""A trained model, as its file describes it: its features, its outputs, and how they are computed.

Imports CatBoost, and with it pandas and SciPy; so only `load` of the runtime imports this module.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from catboost import CatBoostClassifier, CatBoostError, CatBoostRegressor, Pool

from srv.errors import SrvError
from srv_catboost.features import Feature

_PLACE_IN_SOURCE = re.compile(r"^\S+\.(cpp|h|pyx):\d+: ")
#: Outputs of a classifier, and of all others, the default first.
OF_CLASSIFIERS = ("predict", "predict_proba", "predict_log_proba", "raw", "leaf", "contributions")
OF_OTHERS = ("predict", "raw", "leaf", "contributions")
#: Outputs that are a prediction_type of CatBoost.
_TYPES = {"predict_proba": "Probability", "predict_log_proba": "LogProbability", "raw": "RawFormulaVal"}


class Unreadable(SrvError):
    """CatBoost cannot read the file."""

    def __init__(self, file: Path, said: str) -> None:
        super().__init__(f"CatBoost cannot read '{file.name}': {_PLACE_IN_SOURCE.sub('', said).rstrip('.')}.")


class Empty(SrvError):
    """The file holds a model without trees."""

    def __init__(self, file: Path) -> None:
        super().__init__(f"'{file.name}' holds no trees, so it is no trained model, or not the whole of one.")


class TrainedModel:
    """A model of a file. Predicting changes nothing in it, so threads share it."""

    def __init__(self, file: Path, form: str) -> None:
        self._model = _read(file, form)
        self._params = self._model.get_all_params()
        self.classes: list[Any] = np.asarray(self._model.classes_).tolist()
        self.outputs = OF_CLASSIFIERS if self.classes else OF_OTHERS
        self.trees = int(self._model.tree_count_)
        self.loss_function = str(self._params.get("loss_function") or "")
        #: Whether numbers may be missing; training with nan_mode Forbidden says no, and predicting would not.
        self.nullable = self._params.get("nan_mode") != "Forbidden"
        self.features, self.is_named = _features_of(self._model)
        self._places = {
            f"{long}_features": [place for place, feature in enumerate(self.features) if feature.kind == kind]
            for kind, long in (("label", "cat"), ("text", "text"), ("embedding", "embedding"))
        }

    def pool(self, rows: Any, *, threads: int) -> Pool:
        """Return the rows, an array or a DataFrame of all features, as CatBoost takes them."""
        return Pool(rows, thread_count=threads, **self._places)

    def compute(self, output: str, pool: Pool, *, threads: int) -> np.ndarray[Any, Any]:
        """Return one output for each row of the pool."""
        if output == "leaf":
            found = self._model.calc_leaf_indexes(pool, thread_count=threads)
        elif output == "contributions":
            found = self._model.get_feature_importance(pool, type="ShapValues", thread_count=threads)
        elif output == "predict":
            found = self._model.predict(pool, thread_count=threads)
        else:
            found = self._model.predict(pool, prediction_type=_TYPES[output], thread_count=threads)
        return np.asarray(found)


def _read(file: Path, form: str) -> Any:
    """Return the file's model, as the class whose `predict` is meant: a classifier where the file names classes.

    All others are a regressor here, whose `predict` follows the loss function, as that of a ranker does.
    """
    try:
        model = CatBoostRegressor().load_model(str(file), format=form)
        if len(model.classes_):
            model = CatBoostClassifier().load_model(str(file), format=form)
    except CatBoostError as error:
        raise Unreadable(file, str(error)) from error
    if not model.is_fitted() or not model.tree_count_:
        raise Empty(file)
    return model


def _features_of(model: Any) -> tuple[list[Feature], bool]:
    """Return the features in the order of training, and whether they have names.

    Where some were dropped from the trained model, those that are left keep their places.
    """
    kinds = {
        **dict.fromkeys(model._get_float_feature_indices(), "number"),
        **dict.fromkeys(model.get_cat_feature_indices(), "label"),
        **dict.fromkeys(model.get_text_feature_indices(), "text"),
        **dict.fromkeys(model.get_embedding_feature_indices(), "embedding"),
    }
    names = dict(zip(sorted(kinds), map(str, model.feature_names_), strict=True))
    is_named = any(name != str(place) for place, name in names.items()) and len(set(names.values())) == len(names)
    width = max(kinds) + 1
    return [
        Feature(names[place] if is_named and place in names else str(place), kinds.get(place, "dropped"))
        for place in range(width)
    ], is_named
