"""How the C library's malloc is told to keep memory, and the buffers of large bodies."""

from __future__ import annotations

import ctypes

import numpy as np

from srv.serve.http.limits import MEBIBYTE

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
M_ARENA_MAX = -8


def keep_freed_blocks() -> bool:
    """Have malloc reuse blocks of up to 64 MiB instead of giving each back, because fresh pages cost more than copies.

    In two arenas for all threads, because what one thread has freed another one reuses then, and no heap of freed blocks
    grows for each thread. For the whole process; False where the C library is not glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    wanted = ((M_MMAP_THRESHOLD, 64 * MEBIBYTE), (M_TRIM_THRESHOLD, 256 * MEBIBYTE), (M_ARENA_MAX, 2))
    return all(mallopt(option, value) for option, value in wanted)


def room_for(length: int) -> memoryview:
    """Return a buffer of this length whose memory is only taken as it is written, however much was promised."""
    return np.empty(length, np.uint8).data
