"""Pickles in what was fetched: found by their names, by the settings' format, and by their first bytes."""

from __future__ import annotations

import os
import pickletools
from collections.abc import Collection, Iterator
from pathlib import Path

from srv.discovery.files import is_code

#: Values of `parameters.format` that say that a file of any name is a pickle.
_FORMATS = frozenset({"pickle", "joblib", "cloudpickle", "dill"})
#: Source is code too, but loading an artifact runs none of it: what was fetched is on no import path.
_SOURCE = ".py"
_INSTRUCTIONS = frozenset(each.code for each in pickletools.opcodes)


def pickle_in(artifact: Path, form: str | None, code_files: Collection[str] = ()) -> str | None:
    """Return the name of a file in an artifact that is a pickle, or None.

    `code_files` are those that runtimes name as code, which can do as much as a pickle.
    """
    for file in _files(artifact):
        is_named_code = is_code(file.name) and file.suffix.lower() != _SOURCE
        if is_named_code or file.name in code_files or form in _FORMATS or _begins_as_pickle(file):
            return file.name
    return None


def _files(artifact: Path) -> Iterator[Path]:
    if not artifact.is_dir():
        yield artifact
        return
    for directory, _, names in os.walk(artifact):
        yield from (Path(directory, name) for name in sorted(names))


def _begins_as_pickle(file: Path) -> bool:
    """Return whether a file begins as pickles have since protocol 2: PROTO, its number, and an instruction."""
    try:
        with file.open("rb") as stream:
            head = stream.read(3)
    except OSError:
        return False
    return len(head) == 3 and head[0] == 0x80 and 2 <= head[1] <= 5 and chr(head[2]) in _INSTRUCTIONS
