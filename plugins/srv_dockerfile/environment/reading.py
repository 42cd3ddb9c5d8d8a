"""What a folder pins, and in which file: the first of the locks that is there, else pyproject.toml."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srv_dockerfile.environment import pipfile_lock, poetry_lock, project, pylock, uv_lock
from srv_dockerfile.environment.locked import Lock
from srv_dockerfile.environment.project import Project
from srv_dockerfile.errors import BadLock

#: In the order in which the first that is there counts.
LOCKS = (uv_lock.FILE, poetry_lock.FILE, pylock.FILE, pipfile_lock.FILE)


@dataclass(frozen=True)
class Environment:
    """What one file of the folder says of the environment."""

    file: str
    lock: Lock


def read_environment(folder: Path, found: Project | None) -> Environment | None:
    """Return what the folder's lock, or its project without one, says; None where there is neither. Raises SrvErrors."""
    for file in LOCKS:
        if (folder / file).is_file():
            return Environment(file, _read(folder, file, found))
    workspace = None if found is None else _workspace(folder, found)
    if workspace is not None:
        return workspace
    if found is not None and found.is_environment:
        lock = found.requirements()
        lock.notes.append("pyproject.toml has no lock, so each build takes the newest versions that it allows.")
        return Environment(project.FILE, lock)
    return None


def _workspace(folder: Path, found: Project) -> Environment | None:
    """Return what the lock of uv's workspace above the folder says, if the folder is a member of it."""
    place = folder.resolve()
    for above in place.parents:
        if (above / uv_lock.FILE).is_file():
            root = place.relative_to(above).as_posix()
            file = f"{'../' * len(Path(root).parts)}{uv_lock.FILE}"
            text, document = _document(folder, file)
            if uv_lock.is_member(document, root):
                return Environment(file, _read_uv(document, text, found, root))
        if (above / ".git").exists():
            break
    return None


def _document(folder: Path, file: str) -> tuple[str, dict[str, Any]]:
    try:
        text = (folder / file).read_text(encoding="utf-8")
        return text, json.loads(text) if file == pipfile_lock.FILE else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise BadLock(file, str(error)) from None


def _read(folder: Path, file: str, found: Project | None) -> Lock:
    text, document = _document(folder, file)
    try:
        return _READERS[file](document, text, found)
    except (KeyError, TypeError, AttributeError) as error:
        raise BadLock(file, f"it is not as such a file is written ({type(error).__name__}: {error})") from error


def _read_uv(document: Mapping[str, Any], text: str, found: Project | None, root: str = ".") -> Lock:
    lock = uv_lock.read_uv_lock(document, text, root)
    name = None if found is None else found.differs_from(uv_lock.noted(document, root))
    if name is not None:
        lock.notes.append(_stale(uv_lock.FILE, f"pyproject.toml, which has {name} otherwise", "uv lock"))
    return lock


def _read_poetry(document: Mapping[str, Any], text: str, found: Project | None) -> Lock:
    lock = poetry_lock.read_poetry_lock(document, text, [] if found is None else found.poetry_dependencies())
    if found is not None and not poetry_lock.fits(document, found.document):
        lock.notes.append(_stale(poetry_lock.FILE, project.FILE, "poetry lock"))
    return lock


def _read_pylock(document: Mapping[str, Any], text: str, _: Project | None) -> Lock:
    return pylock.read_pylock(document, text)


def _read_pipfile(document: Mapping[str, Any], text: str, _: Project | None) -> Lock:
    return pipfile_lock.read_pipfile_lock(document, text)


def _stale(file: str, other: str, command: str) -> str:
    return f"{file} does not fit {other}. The image gets what the lock says; run '{command}' to renew it."


#: In the order of LOCKS.
_IN_ORDER: tuple[Callable[[Mapping[str, Any], str, Project | None], Lock], ...] = (
    _read_uv,
    _read_poetry,
    _read_pylock,
    _read_pipfile,
)
_READERS = dict(zip(LOCKS, _IN_ORDER, strict=True))
