"""A runtime for MLflow's models: pip install it, and srv serves each folder that holds an `MLmodel`."""

from srv_mlflow.runtime import MlflowRuntime

__all__ = ["MlflowRuntime"]
