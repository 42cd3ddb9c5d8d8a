"""What keeps a folder from being migrated."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from srv.errors import SrvError, listed


class NoFolder(SrvError):
    """There is nothing to read."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"The folder '{folder}' is not there. Name the folder that `mlserver start` serves.")


class NothingFound(SrvError):
    """The folder has no settings of MLServer's."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"There is neither a settings.json nor a model-settings.json in '{folder}' or below it. Name the folder that "
            "`mlserver start` serves."
        )


class BackupThere(SrvError):
    """What was there before cannot be kept, because a file has the name already."""

    def __init__(self, files: Iterable[Path]) -> None:
        super().__init__(
            f"Nothing is written: {listed(str(file) for file in files)} would be overwritten. It is what MLServer's file was "
            "before it was migrated; move it away first."
        )


class CannotWrite(SrvError):
    """A file cannot be written."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} cannot be written ({why}).")
