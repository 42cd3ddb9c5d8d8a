"""Files that a run writes: opened by one run at a time, and never shorter than the journal tells."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import sys
from pathlib import Path
from typing import IO

from srv_infer.errors import BusyOutput, OutputLost, UnwritableOutput

#: What file systems answer that know no locks.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


def opened_alone(path: Path) -> IO[bytes]:
    """Open a file for reading and writing as it is, or make it. Raises BusyOutput where another run has it, UnwritableOutput."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise UnwritableOutput(path, error.strerror or str(error)) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            os.close(descriptor)
            raise BusyOutput(path) from None
    return os.fdopen(descriptor, "r+b", buffering=0)


def working_file(path: Path, at: int) -> IO[bytes]:
    """Open a file for writing behind its first bytes; what stands behind these is cut off.

    Raises OutputLost where it has not so many, BusyOutput and UnwritableOutput.
    """
    if is_special(path):
        return path.open("wb", buffering=0)
    file = opened_alone(path)
    if os.fstat(file.fileno()).st_size < at:
        file.close()
        raise OutputLost(path)
    file.truncate(at)
    file.seek(at)
    return file


def standard_output() -> IO[bytes]:
    """Return standard output without a buffer, so that each batch is there for its reader when it is written."""
    sys.stdout.flush()
    return os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)


def is_special(path: Path) -> bool:
    """Whether a path is that of a pipe or a device, which has no places to go back to."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def write_whole(file: IO[bytes], data: bytes) -> int:
    """Write all bytes, which an unbuffered file may take in several parts; return how many they are."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
    return len(data)


def arrow_of(output: Path) -> Path:
    """Return the path of the file in which the rows of a Parquet output stand until it is complete."""
    return output.with_name(f"{output.name}.arrow")
