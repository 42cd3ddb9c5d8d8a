"""The process's environment for MLflow, which reads it while it is imported."""

from __future__ import annotations

import os


def prepare_environment() -> None:
    """Say what holds in a server, unless the operator has said otherwise. Call it before MLflow is imported."""
    # A server tells nobody of what it serves.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # Its messages go the way of all others, instead of to stderr in a form of their own.
    os.environ.setdefault("MLFLOW_CONFIGURE_LOGGING", "false")
    # srv logs how much has come; a bar of MLflow's would stand between the lines of its log.
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # As MLflow's own scoring server has it: texts become datetimes and bytes where a model's type hint says so.
    os.environ.setdefault("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "true")
