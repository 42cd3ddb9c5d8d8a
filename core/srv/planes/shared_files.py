"""Files that all workers can read and write, whatever umask a model has set."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, Any

_MODE = 0o600


def open_private(path: Path, mode: str) -> IO[Any]:
    """Open a file for this user alone; one of bytes is not buffered."""
    return open(path, mode, 0 if "b" in mode else -1, opener=_private)


def _private(path: str, flags: int) -> int:
    descriptor = os.open(path, flags, _MODE)
    os.fchmod(descriptor, _MODE)  # because the umask was taken off the mode, and a model may have set any
    return descriptor
