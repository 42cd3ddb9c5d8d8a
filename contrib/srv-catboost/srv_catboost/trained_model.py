"""A trained model, as its file describes it: its features, its outputs, and how they are computed.

Imports CatBoost, and with it pandas and SciPy; so only `load` of the runtime imports this module.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from catboost import CatBoostError, CatBoostRegressor, Pool

from srv.errors import SrvError
from srv_catboost.features import Feature

_PLACE_IN_SOURCE = re.compile(r"^\S+\.(cpp|h|pyx):\d+: ")
#: The keys of metadata that hold what a model was trained with; a sum of models has that of each.
_PARAMS = re.compile(r"(model\d+:)?params")
#: Outputs of a classifier, and of all others, the default first.
OF_CLASSIFIERS = ("predict", "predict_proba", "predict_log_proba", "raw", "leaf", "contributions")
OF_OTHERS = ("predict", "raw", "leaf", "contributions")
#: Outputs that are a prediction_type of CatBoost. None is what the loss function says: a rate, a mean and its variance.
_TYPES = {
    "predict": None,
    "predict_proba": "Probability",
    "predict_log_proba": "LogProbability",
    "raw": "RawFormulaVal",
}


class Unreadable(SrvError):
    """CatBoost cannot read the file."""

    def __init__(self, file: Path, said: str) -> None:
        why = _PLACE_IN_SOURCE.sub("", said).rstrip(".!")
        super().__init__(
            f"catboost {version('catboost')} cannot read '{file.name}': {why}. Save or copy it again, or install the release "
            "that saved it."
        )


class Empty(SrvError):
    """The file holds a model without trees."""

    def __init__(self, file: Path) -> None:
        super().__init__(f"'{file.name}' holds no trees, so it is no trained model, or not the whole of one.")


class TrainedModel:
    """A model of a file. Predicting changes nothing in it, so threads share it."""

    def __init__(self, file: Path, form: str) -> None:
        self._model = _read(file, form)
        told = self._model.get_metadata()
        metadata = {key: told[key] for key in told.keys()}  # noqa: SIM118 - it is no mapping of Python's
        params = [json.loads(text) for key, text in metadata.items() if text and _PARAMS.fullmatch(key)]
        self.classes: list[Any] = np.asarray(self._model.classes_).tolist()
        self.outputs = OF_CLASSIFIERS if self.classes else OF_OTHERS
        self._types = _TYPES | ({"predict": "Class"} if self.classes else {})
        self.trees = int(self._model.tree_count_)
        self.loss_function = _loss_of(metadata, params)
        #: Whether numbers may be missing; training with nan_mode Forbidden says no, and predicting would not.
        self.nullable = "Forbidden" not in map(_nan_mode_of, params)
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
        else:
            found = self._model.predict(pool, prediction_type=self._types[output], thread_count=threads)
        return np.asarray(found)


def _read(file: Path, form: str) -> Any:
    """Return the file's model, as the class whose `predict` follows the loss function unless it is told otherwise."""
    try:
        model = CatBoostRegressor().load_model(str(file), format=form)
    except CatBoostError as error:
        raise Unreadable(file, str(error)) from error
    if not model.is_fitted() or not model.tree_count_:
        raise Empty(file)
    return model


def _loss_of(metadata: Mapping[str, str], params: Sequence[Mapping[str, Any]]) -> str:
    """Return the loss function as people write it, such as `Quantile:alpha=0.3`; empty where the file does not tell it.

    A sum of models has it beside the parameters of each.
    """
    loss = json.loads(metadata.get("loss_function") or "null") or (params[0].get("loss_function") if params else None)
    if not loss:
        return ""
    options = {key: value for key, value in (loss.get("params") or {}).items() if not key.startswith("__")}
    said = ";".join(f"{key}={value}" for key, value in options.items())
    return f"{loss['type']}:{said}" if said else str(loss["type"])


def _nan_mode_of(params: Mapping[str, Any]) -> Any:
    return params.get("data_processing_options", {}).get("float_features_binarization", {}).get("nan_mode")


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
