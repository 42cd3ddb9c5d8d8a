"""The default of `max_inflight_bytes` where memory is short: a share of what the machine or its cgroups allow."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from srv.cgroups import MemoryLimit, memory_limit

#: Models, their runtimes and what they compute need the rest. JSON of numbers takes its own size once more as arrays.
_SHARE = 4
#: The least that is useful, however short memory is.
_LEAST = 16 * 2**20


class Share(NamedTuple):
    """Bytes for each worker, and where that number comes from."""

    size: int
    origin: str


def inflight_share(workers: int, root: Path = Path("/")) -> Share | None:
    """Return a worker's share of the memory; None where nobody knows how much there is."""
    limits = [limit for limit in (memory_limit(root), _machine()) if limit is not None]
    if not limits:
        return None
    limit = min(limits)
    each = "" if workers == 1 else f", for {workers} workers"
    size = max(_LEAST, limit.size // _SHARE // workers)
    return Share(size, f"default: a quarter of the {limit.size} bytes of memory in {limit.file}{each}")


def _machine() -> MemoryLimit | None:
    """Return the memory of the machine."""
    try:
        return MemoryLimit(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), Path("/proc/meminfo"))
    except (OSError, ValueError):
        return None
