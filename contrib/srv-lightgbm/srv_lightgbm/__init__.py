"""A runtime for LightGBM: pip install it, and srv serves `model.txt`, `model.lgb` and `model.bst`."""

from srv_lightgbm.runtime import LightGBMRuntime

__all__ = ["LightGBMRuntime"]
