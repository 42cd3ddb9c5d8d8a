"""Renaming a module, and the classes and functions that it defines."""

from __future__ import annotations

from contextlib import suppress
from importlib.machinery import SourceFileLoader
from types import FunctionType, ModuleType


def rename(module: ModuleType, before: str, after: str) -> None:
    """Rename a module, and set `__module__` of the classes and functions in it, so that pickle finds them."""
    names = vars(module)
    spec, loader = names.get("__spec__"), names.get("__loader__")
    for value in list(names.values()):
        _rename_value(value, before, after)
    names["__name__"] = after
    names["__package__"] = after if "__path__" in names else after.rpartition(".")[0]
    if spec is not None:
        spec.name = after
    if isinstance(loader, SourceFileLoader):
        loader.name = after


def _rename_value(value: object, before: str, after: str) -> None:
    if issubclass(
        type(value), ModuleType
    ):  # by type(), because reading `__class__` of a shared module looks for the calling code
        return
    value = getattr(value, "__func__", value) if isinstance(value, (staticmethod, classmethod)) else value
    try:
        own = vars(value)
    except TypeError:
        return
    said = value.__module__ if isinstance(value, FunctionType) else own.get("__module__")
    if said != before:
        return
    with suppress(Exception):  # an object whose __module__ is read-only keeps it
        value.__module__ = after
    if isinstance(value, type):
        for inner in list(own.values()):
            _rename_value(inner, before, after)
