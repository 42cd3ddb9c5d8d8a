"""Errors as they travel between processes: the stable name, the class and the sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from srv import errors
from srv.errors import ModelError, SrvError, code_of, sentence_of

_KINDS: Mapping[str, type[SrvError]] = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, SrvError)
}
_OF_CODES: Mapping[str, type[SrvError]] = {kind.code: kind for kind in reversed(list(_KINDS.values()))}


def error_head(error: SrvError) -> dict[str, Any]:
    """Return what a frame says of an error: its stable name, the nearest class that every srv has, and the sentence."""
    kind = next((each.__name__ for each in type(error).__mro__ if _KINDS.get(each.__name__) is each), "SrvError")
    return {"code": code_of(error), "kind": kind, "message": sentence_of(error)}


def error_of(head: Any) -> SrvError:
    """Return the error that a frame tells of, to be raised; a class or a name that this srv has not becomes a ModelError."""
    told = head if isinstance(head, Mapping) else {}
    kind = _KINDS.get(str(told.get("kind")))
    if kind is None or kind.code != told.get("code"):
        kind = _OF_CODES.get(str(told.get("code")), ModelError)
    error = kind.__new__(kind)  # not by its own __init__, which makes the sentence of other things
    error.args = (str(told.get("message") or kind.unsaid),)
    return error
