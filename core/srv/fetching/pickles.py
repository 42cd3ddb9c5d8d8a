"""Pickles in what was fetched: found by their names, by the settings' format, and by what the files hold."""

from __future__ import annotations

import os
import pickletools
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path

from srv.discovery.files import is_code

#: Values of `parameters.format` that say that a file of any name is a pickle.
_FORMATS = frozenset({"pickle", "joblib", "cloudpickle", "dill"})
#: Source is code too, but loading an artifact runs none of it: what was fetched is on no import path.
_SOURCE = ".py"
#: One of these stands in each archive of PyTorch's.
_OF_PYTORCH = frozenset({"data.pkl", "constants.pkl", "archive_format", "serialized_exported_program.json"})
_INSTRUCTIONS = frozenset(each.code for each in pickletools.opcodes)


def pickle_in(artifact: Path, form: str | None, code_files: Collection[str] = ()) -> str | None:
    """Return the name of a file in an artifact that is a pickle, or None.

    `code_files` are those that runtimes name as code, which can do as much as a pickle.
    """
    for file in _files(artifact):
        is_named_code = is_code(file.name) and file.suffix.lower() != _SOURCE
        if is_named_code or file.name in code_files or form in _FORMATS or _holds_pickle(file):
            return file.name
    return None


def _files(artifact: Path) -> Iterator[Path]:
    if not artifact.is_dir():
        yield artifact
        return
    for directory, _, names in os.walk(artifact):
        yield from (Path(directory, name) for name in sorted(names))


def _holds_pickle(file: Path) -> bool:
    """Return whether a file is a pickle, or an archive of PyTorch's, which holds some; of any name."""
    try:
        with file.open("rb") as stream:
            head = stream.read(3)
        return _begins_as_pickle(head) or (head[:2] == b"PK" and _is_of_pytorch(file))
    except OSError:
        return False


def _is_of_pytorch(file: Path) -> bool:
    """Return whether a zip archive is one of torch.save, TorchScript or torch.export, by the names in it."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return False
    return any(name.rpartition("/")[2] in _OF_PYTORCH for name in names)


def _begins_as_pickle(head: bytes) -> bool:
    """Return whether bytes begin as pickles have since protocol 2: PROTO, its number, and an instruction."""
    return len(head) == 3 and head[0] == 0x80 and 2 <= head[1] <= 5 and chr(head[2]) in _INSTRUCTIONS
