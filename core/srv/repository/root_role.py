"""Role of the model-settings.json in a repository's root: a model, or defaults for the other models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from srv.repository.scan import ModelFolder, Scan
from srv.settings.documents import Document


class Role(msgspec.Struct, frozen=True):
    """Role of the root, and the line that explains it."""

    is_model: bool
    explanation: str


def role_of(scan: Scan, *, alone: bool) -> Role:
    """Return the role of the root. `alone` says that there is no second repository with other models.

    Raises a SettingError where the root's file cannot be read, since then nobody knows what the others lack.
    """
    head = scan.head
    if head is None:
        return Role(is_model=False, explanation=f"There is no model-settings.json in {scan.shown_root} itself.")
    if head.error is not None:
        raise head.error
    if head.document is None:
        return Role(
            is_model=True,
            explanation=f"The folder {scan.shown_root} is a model, because of {' and '.join(head.files)} in it.",
        )
    reason = _why_model(head, head.document)
    if reason is None and not scan.others and alone:
        reason = "there is no other model"
    if reason is not None:
        return Role(is_model=True, explanation=f"{head.document.place} is a model: {reason}.")
    return Role(is_model=False, explanation=_as_defaults(head.document))


def uri_of(document: Document) -> str | None:
    """Return the `parameters.uri` of settings that have not been checked yet."""
    parameters = document.values.get("parameters")
    uri = parameters.get("uri") if isinstance(parameters, Mapping) else None
    return uri if isinstance(uri, str) and uri else None


def exists(path: Path) -> bool:
    """Return whether a path from settings exists; False for a text that cannot be a path."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _why_model(head: ModelFolder, document: Document) -> str | None:
    for key in ("name", "implementation"):
        if document.values.get(key) is not None:
            return f"it has '{key}'"
    uri = uri_of(document)
    if uri is not None and exists(head.folder / uri):
        return "its 'parameters.uri' is there"
    return f"{head.files[0]} is beside it" if head.files else None


def _as_defaults(document: Document) -> str:
    line = (
        f"{document.place} gives defaults for the other models: it has no 'name', no 'implementation', no "
        "'parameters.uri' that is there and no recognised file beside it."
    )
    parameters = document.values.get("parameters")
    unused = [key for key in ("uri", "version") if isinstance(parameters, Mapping) and key in parameters]
    return line + "".join(f" Its 'parameters.{key}' is not used." for key in unused)
