"""Objects of a storage: their names as files of a folder, and one identity for all of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import PurePosixPath

from srv.storage import FetchFailed

#: Beyond so many objects the URI names a whole bucket rather than a model.
MOST_OBJECTS = 100_000
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class StoredObject:
    """One object: where it lies in the storage, its name as a file, and what tells that it has changed."""

    path: str
    name: str
    size: int
    etag: str | None = None
    modified: datetime | None = None
    sha256: str | None = None


def identity(objects: Iterable[StoredObject]) -> str:
    """Return a text that changes when an object comes, goes or changes."""
    digest = sha256()
    for each in sorted(objects, key=lambda each: each.name):
        version = each.etag or (each.modified.isoformat() if each.modified else "")
        digest.update(f"{each.name}\0{version}\0{each.size}\n".encode())
    return digest.hexdigest()


def as_files(objects: Sequence[StoredObject], uri: str) -> list[StoredObject]:
    """Return the objects that become files. Raises FetchFailed for a name that would be no file in the model's folder.

    An empty object named as a folder of others is the mark that consoles of storages leave for the folder.
    """
    if len(objects) > MOST_OBJECTS:
        raise FetchFailed(f"{uri} holds more than {MOST_OBJECTS} objects: name the folder of one model")
    folders = {str(parent) for each in objects for parent in PurePosixPath(each.name).parents}
    files = [each for each in objects if each.name and not (each.size == 0 and each.name in folders)]
    names: set[str] = set()
    for each in files:
        _refuse_unsafe(each.name, uri)
        if each.name in folders or each.name in names:
            raise FetchFailed(f"{uri} holds {each.name!r} twice, or as a file and a folder: rename one of them")
        names.add(each.name)
    return files


def _refuse_unsafe(name: str, uri: str) -> None:
    parts = name.split("/")
    if not all(parts) or "." in parts or ".." in parts or "\\" in name or _CONTROL.search(name):
        raise FetchFailed(f"{uri} holds an object named {name!r}, which is no name of a file in a folder: rename it")
