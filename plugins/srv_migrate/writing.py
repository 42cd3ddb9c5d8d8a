"""Writes migrated files in place of MLServer's, which stay beside them under another name."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from srv_migrate.errors import BackupThere, CannotWrite
from srv_migrate.migration import MigratedFile, text_of

#: What the name of a file of MLServer's ends with once srv's has taken its place.
BACKUP = ".mlserver"


def write(folder: Path, files: Iterable[MigratedFile]) -> list[Path]:
    """Write the files that change; return the files that were there before. Raises BackupThere before anything is written."""
    changing = [(folder / each.file, each) for each in files if each.changes]
    backups = [path.with_name(path.name + BACKUP) for path, _ in changing]
    there = [backup for backup in backups if backup.exists()]
    if there:
        raise BackupThere(there)
    for (path, each), backup in zip(changing, backups, strict=True):
        new = path.with_name(f".{path.name}.new")
        try:
            new.write_text(text_of(each.settings), encoding="utf-8")
            new.chmod(path.stat().st_mode & 0o777)
            os.link(path, backup)
            new.replace(path)
        except OSError as error:
            new.unlink(missing_ok=True)
            raise CannotWrite(path, (error.strerror or type(error).__name__).lower()) from error
    return backups
