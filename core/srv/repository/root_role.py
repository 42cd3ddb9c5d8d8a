"""Role of the model-settings.json in a repository's root: a model, or what it gives to the other models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from srv.errors import quoted
from srv.repository.scan import ModelFolder, Scan
from srv.settings.documents import Document
from srv.uris import scheme_of


class Role(msgspec.Struct, frozen=True):
    """Role of the root, and the line that explains it."""

    is_model: bool
    explanation: str


def role_of(scan: Scan, *, alone: bool, further: str | None = None) -> Role:
    """Return the role of the root. `alone` says that there is no second repository with other models.

    `further` tells of a second repository whose models may name no runtime; None where there is none.

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
    default = _as_default_runtime(scan, head, head.document, further)
    if default is not None:
        return Role(is_model=False, explanation=default)
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
    if scheme_of(uri) is not None:
        return "its 'parameters.uri' has a scheme"
    if uri is not None and exists(head.folder / uri):
        return "its 'parameters.uri' is there"
    return f"{head.files[0]} is beside it" if head.files else None


def _as_default_runtime(scan: Scan, head: ModelFolder, document: Document, further: str | None) -> str | None:
    """Return how the root gives the default runtime, or None: it has a class, no artifact, and there are others to serve.

    A folder without settings is none of them, because the runtime that recognises its file serves it.
    """
    implementation, uri = document.values.get("implementation"), uri_of(document)
    if implementation is None or document.values.get("name") is not None or head.files:
        return None
    if uri is not None and (scheme_of(uri) is not None or exists(head.folder / uri)):
        return None
    others = "there are other models" if any(not place.is_bare for place in scan.others) else further
    if others is None:
        return None
    return (
        f"{document.place} gives {quoted(str(implementation))} as the default runtime, for the other models that name "
        f"none, and defaults beside it: {others}, and it has no 'name', no 'parameters.uri' that is there and no "
        f"recognised file beside it. To serve it as a model itself, give it a 'name'.{_unused(document)}"
    )


def _as_defaults(document: Document) -> str:
    return (
        f"{document.place} gives defaults for the other models: it has no 'name', no 'implementation', no "
        f"'parameters.uri' that is there and no recognised file beside it.{_unused(document)}"
    )


def _unused(document: Document) -> str:
    parameters = document.values.get("parameters")
    unused = [key for key in ("uri", "version") if isinstance(parameters, Mapping) and key in parameters]
    return "".join(f" Its 'parameters.{key}' is not used." for key in unused)
