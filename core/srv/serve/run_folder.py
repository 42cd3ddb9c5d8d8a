"""The folder of a running server: its user's alone, locked while a process of the server lives, made again if removed."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from srv.planes.shared_files import open_private

log = logging.getLogger("srv.serve")

_PREFIX = "srv-run-"
_MEMORY = Path("/dev/shm")  # noqa: S108  what is made there is made by mkdtemp and mkstemp
#: The file that the process which started a server has locked, as long as it lives.
_LAUNCHER = "launcher"


class RunFolder:
    """A folder of a server, in a place where every server may have one.

    The lock on it tells systemd-tmpfiles to pass the folder over, and the next server whether somebody still needs it.
    Processes that are forked keep the lock.
    """

    def __init__(self, place: Path) -> None:
        for leftover, is_needed in _others(place):
            if not is_needed:
                shutil.rmtree(leftover, ignore_errors=True)
        self._lock = -1
        self._launcher: IO[str] | None = None
        while self._lock < 0:  # because another server may take a new folder for a leftover before it is locked
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
            self._hold()
        self._has_warned = False

    def keep(self) -> None:
        """Make the folder again where somebody has removed it. What was in it comes when it is needed."""
        try:
            if self._is_there():
                return
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._hold()
        except OSError as error:
            if not self._has_warned:
                log.warning("The folder %s is gone and cannot be made again: %s.", self.path, error.strerror)
            self._has_warned = True
        else:
            self._has_warned = False

    def remove(self) -> None:
        """Remove the folder and what is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
        if self._launcher is not None:
            self._launcher.close()

    def _hold(self) -> None:
        """Lock the folder that is there now, if it is this user's."""
        with suppress(OSError):
            lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            if os.fstat(lock).st_uid != os.geteuid() or not _take(lock):
                os.close(lock)
                return
            os.fchmod(lock, 0o700)
            if self._lock >= 0:
                os.close(self._lock)
            self._lock = lock
            if self._launcher is not None:
                self._launcher.close()
            self._launcher = _locked_file(self.path / _LAUNCHER)

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(self.path.stat(follow_symlinks=False), os.fstat(self._lock))
        except FileNotFoundError:
            return False


def run_place() -> Path:
    """Return where folders of servers are made: `XDG_RUNTIME_DIR` where there is one, else among temporary files."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/") and _is_own_folder(Path(runtime)):
        return Path(runtime)
    return Path(tempfile.gettempdir())


def memory_place() -> Path | None:
    """Return a place in memory, which no cleaner of temporary files looks at, if the system has one."""
    return _MEMORY if _is_writable(_MEMORY) else None


def outliving_servers() -> list[Path]:
    """Return the folders of servers whose launcher was killed while its workers still end."""
    return [folder for folder, is_needed in _others(run_place()) if is_needed and not _has_launcher(folder)]


def _others(place: Path) -> Iterator[tuple[Path, bool]]:
    """Give the folders of this user's servers, and whether a process still needs each."""
    for folder in place.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if not _is_own_folder(folder):
                continue
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                yield folder, not _take(lock)
            finally:
                os.close(lock)


def _is_own_folder(folder: Path) -> bool:
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and os.access(folder, os.W_OK)


def _is_writable(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _has_launcher(folder: Path) -> bool:
    try:
        _locked_file(folder / _LAUNCHER).close()
    except OSError:
        return True
    return False


def _locked_file(path: Path) -> IO[str]:
    """Lock a file for this process, not for those that are forked from it. Raises OSError where another process has it."""
    file = open_private(path, "r+" if path.exists() else "w+")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise
    return file


def _take(lock: int) -> bool:
    """Lock an open folder; whether nobody else has."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
