"""A runtime for XGBoost: pip install it, and srv serves `model.ubj`, `model.json` and `model.bst`."""

from srv_xgboost.runtime import XGBoostRuntime

__all__ = ["XGBoostRuntime"]
