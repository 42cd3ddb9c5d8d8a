"""Estimators from files: skops, which holds data, and joblib and pickle, which hold code."""

from __future__ import annotations

import pickle
from collections.abc import Collection
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from srv.errors import SrvError, listed, said_by

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


class Unreadable(SrvError):
    """The file ends too early, or holds something else than its format says."""

    def __init__(self, file: Path, form: str, why: str) -> None:
        super().__init__(
            f"'{file.name}' cannot be read as {form}{f' ({why})' if why else ''}: it is cut off, or holds something else. Save or "
            "copy it again, or say what it is with parameters.format."
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
    form = form or FORMATS.get(file.suffix)
    try:
        estimator = _read(file, form, trusted_types)
    except (EOFError, pickle.UnpicklingError, BadZipFile) as error:
        raise Unreadable(file, form or "", said_by(error).partition("\n")[0]) from error
    except KeyError as error:
        if not isinstance(error.args[0], int):  # the code of an instruction that no pickle has, in joblib's reader
            raise
        raise Unreadable(file, form or "", "") from error
    if not (hasattr(estimator, "predict") or hasattr(estimator, "transform")):
        raise NoEstimator(file, estimator)
    _check_fitted(file, estimator)
    return estimator


def _read(file: Path, form: str | None, trusted_types: Collection[str]) -> Any:
    match form:
        case "skops":
            return _read_skops(file, trusted_types)
        case "joblib":
            import joblib

            return joblib.load(file)
        case "pickle":
            with file.open("rb") as stream:
                return pickle.load(stream)  # noqa: S301 - its owner put it there; see the README
    raise UnknownFormat(file, form)


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
