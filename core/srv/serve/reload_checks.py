"""What the launcher looks at before a reload: a reload that cannot succeed is refused while the old workers serve."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from srv.errors import SrvError
from srv.serve.tls import CertificatePair, read_pair
from srv.settings import ServerSettings, TlsSettings
from srv.settings.errors import FolderMissing


class FolderEmpty(SrvError):
    """A folder that held something at the start is empty, as one is whose file system was unmounted."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"The folder '{folder}' is empty. Mount or fill it, then reload again.")


class FolderUnreadable(SrvError):
    """A folder cannot be listed."""

    def __init__(self, folder: Path, why: str) -> None:
        super().__init__(f"The folder '{folder}' cannot be read: {why}.")


class ReloadChecks:
    """The folders and the certificate of a server, as they were at the start and as they are now.

    `take` is given each certificate that was read and can serve.
    """

    def __init__(self, settings: ServerSettings, take: Callable[[CertificatePair], object]) -> None:
        self._tls: TlsSettings | None = settings.tls
        self._take = take
        named = [(settings.folder, "The folder"), (settings.models_dir, "The models folder")]
        #: Folders that were there, with what a sentence calls each, and those that held something.
        self._there = [(folder, subject) for folder, subject in named if folder is not None and folder.is_dir()]
        self._filled = {folder for folder, _ in self._there if any(folder.iterdir())}

    def problem(self) -> SrvError | None:
        """Return why a reload cannot succeed now, or None. Reads the certificate and its key again."""
        try:
            for folder, subject in self._there:
                self._look_at(folder, subject)
            if self._tls is not None:
                self._take(read_pair(self._tls))
        except SrvError as error:
            return error
        return None

    def _look_at(self, folder: Path, subject: str) -> None:
        if not folder.is_dir():
            raise FolderMissing(folder, subject)
        try:
            is_empty = not any(folder.iterdir())
        except OSError as error:
            raise FolderUnreadable(folder, os.strerror(error.errno or 0)) from None
        if is_empty and folder in self._filled:
            raise FolderEmpty(folder)
