"""A runtime for scikit-learn: pip install it, and srv serves `model.skops`, `model.joblib` and `model.pkl`."""

from srv_sklearn.runtime import SklearnRuntime

__all__ = ["SklearnRuntime"]
