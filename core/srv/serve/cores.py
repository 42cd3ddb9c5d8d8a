"""How many threads numeric libraries may take, so that workers do not fight over the cores."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path

from srv.cgroups import cpu_quota

#: Read by OpenMP itself, and by the others where their own variable is not set.
_OPENMP = "OMP_NUM_THREADS"
_LIBRARIES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_VECLIB = "VECLIB_MAXIMUM_THREADS"


def cores(root: Path = Path("/")) -> int:
    """Return the cores that this process may use: those it may run on, and no more than its cgroups' quota allows."""
    try:
        available = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        available = os.cpu_count() or 1
    quota = cpu_quota(root)
    return available if quota is None else max(1, min(available, round(quota)))


def share_cores(workers: int, environ: MutableMapping[str, str] = os.environ) -> None:
    """Give each worker's BLAS and OpenMP its share of the cores, where the user said nothing.

    Called before anything imports numpy. Who sets OMP_NUM_THREADS has spoken for the libraries that follow it too.
    """
    share = str(max(1, cores() // workers))
    if _OPENMP not in environ:
        for name in (*_LIBRARIES, _OPENMP):
            environ.setdefault(name, share)
    environ.setdefault(_VECLIB, share)
