"""A runtime for CatBoost: pip install it, and srv serves `model.cbm` and CatBoost's `model.json`."""

from srv_catboost.runtime import CatBoostRuntime

__all__ = ["CatBoostRuntime"]
