"""Errors of MLflow about a request's data, as sentences for the client."""

from __future__ import annotations

from collections.abc import Callable

from mlflow.exceptions import MlflowException

from srv.errors import InvalidInput, closed, said_by

#: The codes of MLflow for what a client has done wrong.
_CLIENTS = frozenset({"BAD_REQUEST", "INVALID_PARAMETER_VALUE", "MALFORMED_REQUEST"})
#: What MLflow says before the cause, with the whole of the data in it.
_WITH_DATA = ("Failed to predict data", "Failed to enforce schema of data")
#: How MLflow calls an error of the model itself.
_OF_MODEL = "Encountered an unexpected error while evaluating the model"
_LONGEST = 300


class UnfitData(InvalidInput):
    """MLflow refuses the data of a request, because the signature says something else."""

    def __init__(self, said: str) -> None:
        super().__init__(closed(said))


def as_clients_fault(error: MlflowException, place: Callable[[], str] = str) -> InvalidInput | None:
    """Return the error for a client whose data MLflow refuses; None where the client is not at fault.

    `place` says where in the data the fault is, as the beginning of a sentence.
    """
    if error.error_code not in _CLIENTS:
        return None
    told: BaseException = error
    # MLflow repeats the whole data in its own sentence, and the reason is the error from which that one came.
    while str(told).startswith(_WITH_DATA) and (told.__cause__ or told.__context__) is not None:
        told = told.__cause__ or told.__context__ or told
    said = _without_body(getattr(told, "message", None) or said_by(told) or type(told).__name__)
    return UnfitData(place() + (said if len(said) <= _LONGEST else f"{said[: _LONGEST - 1]}…"))


def error_of_model(error: MlflowException) -> BaseException | None:
    """Return what the model itself has raised, where MLflow's scoring server has made its own error of that; else None."""
    return error.__context__ if str(error.message).startswith(_OF_MODEL) else None


def _without_body(said: str) -> str:
    """Return MLflow's sentence as one line, without data that it repeats and without what it says of its protocol's past."""
    if said.startswith(_WITH_DATA[0]):
        said = said.rpartition("\nError: ")[2]
    for mark in ("\nInput:", " IMPORTANT: The MLflow Model scoring protocol"):
        said = said.partition(mark)[0]
    return " ".join(said.split())
