"""Estimators from files: skops, which holds data, and joblib and pickle, which hold code."""

from __future__ import annotations

import pickle
from collections.abc import Collection
from pathlib import Path
from typing import Any

from srv.errors import SrvError, listed

#: What a model's file may be called where the settings name none, the safest first.
WELL_KNOWN = ("model.skops", "model.joblib", "model.pkl")
#: Trusted here beside the types that skops trusts, because it runs no code: skops reads a dtype from an empty .npy
#: array. SimpleImputer, and so most pipelines of tables, hold one.
HARMLESS = frozenset({"numpy.dtype"})
FORMATS = {".skops": "skops", ".joblib": "joblib", ".pkl": "pickle", ".pickle": "pickle"}


class UnknownFormat(SrvError):
    """Neither the file's name nor the settings say what the file holds."""

    def __init__(self, file: Path, form: str | None) -> None:
        said = f"parameters.format '{form}'" if form else f"the ending of '{file.name}'"
        super().__init__(
            f"srv-sklearn does not know {said}. Set parameters.format to one of {listed(set(FORMATS.values()))}."
        )


class UntrustedTypes(SrvError):
    """A skops file holds types that skops does not know as harmless and that the settings do not trust."""

    def __init__(self, file: Path, types: Collection[str]) -> None:
        super().__init__(
            f"'{file.name}' holds types that skops does not trust: {listed(types)}. "
            "If you do, name them in parameters.extra.trusted_types of the model-settings.json in the folder that srv "
            "start is given, or in SRV_MODEL__PARAMETERS__EXTRA; a file that travels with the model is not asked."
        )


class NoEstimator(SrvError):
    """The file holds an object without any of an estimator's methods."""

    def __init__(self, file: Path, found: object) -> None:
        super().__init__(
            f"'{file.name}' holds a {type(found).__name__}, which can neither predict nor transform. "
            "Save the fitted estimator or pipeline itself."
        )


class Unfitted(SrvError):
    """The file holds an estimator that was not trained."""

    def __init__(self, file: Path, estimator: object) -> None:
        super().__init__(
            f"'{file.name}' holds a {type(estimator).__name__} that was not fitted. Call fit() before you save it."
        )


def read_estimator(file: Path, *, form: str | None, trusted_types: Collection[str]) -> Any:
    """Return the fitted estimator of a file. Reading joblib and pickle files runs the code in them."""
    match form or FORMATS.get(file.suffix):
        case "skops":
            estimator = _read_skops(file, trusted_types)
        case "joblib":
            import joblib

            estimator = joblib.load(file)
        case "pickle":
            with file.open("rb") as stream:
                estimator = pickle.load(stream)  # noqa: S301 - its owner put it there; see the README
        case _:
            raise UnknownFormat(file, form)
    if not (hasattr(estimator, "predict") or hasattr(estimator, "transform")):
        raise NoEstimator(file, estimator)
    _check_fitted(file, estimator)
    return estimator


def _check_fitted(file: Path, estimator: object) -> None:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(estimator)
    except NotFittedError:
        raise Unfitted(file, estimator) from None
    except TypeError:
        return  # has an estimator's methods without being scikit-learn's


def _read_skops(file: Path, trusted_types: Collection[str]) -> Any:
    import skops.io

    untrusted = set(skops.io.get_untrusted_types(file=file))
    if unknown := untrusted - HARMLESS - set(trusted_types):
        raise UntrustedTypes(file, unknown)
    return skops.io.load(file, trusted=sorted(untrusted))
