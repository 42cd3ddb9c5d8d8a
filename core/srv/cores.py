"""Cores: how many this process may use, and the share of them that each worker and its numeric libraries get."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from srv.cgroups import cpu_quota

#: Read by OpenMP itself, and by the others where their own variable is not set.
_OPENMP = "OMP_NUM_THREADS"
_LIBRARIES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
#: Variables of libraries that do not look at OpenMP's: Accelerate, Polars, Rayon (tokenizers), Numba, OpenCV, joblib.
_OTHERS = (
    *("VECLIB_MAXIMUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS", "NUMBA_NUM_THREADS"),
    *("OPENCV_FOR_THREADS_NUM", "LOKY_MAX_CPU_COUNT"),
)
#: Which variables were set here and not by the user; without SRV_ in front, because it is no setting.
_GIVEN = "_SRV_GIVEN_CORES"
#: A list of processors, as taskset and cpuset have it.
_PROCESSORS = re.compile(r"[0-9]{1,4}(-[0-9]{1,4})?(,[0-9]{1,4}(-[0-9]{1,4})?)*", re.ASCII)


def cores(root: Path = Path("/")) -> int:
    """Return the cores that this process may use: those it may run on, and no more than its cgroups' quota allows."""
    try:
        available = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        available = os.cpu_count() or 1
    quota = cpu_quota(root)
    return available if quota is None else max(1, min(available, round(quota)))


def share_of(workers: int) -> int:
    """Return how many cores each of so many workers has for itself, which is one at least."""
    return max(1, cores() // workers)


def share_cores(workers: int, environ: MutableMapping[str, str] = os.environ) -> None:
    """Give the libraries of each worker that start threads its share of the cores, where the user said nothing.

    Called before anything imports numpy.
    """
    give_cores(share_of(workers), environ)


def give_cores(share: int, environ: MutableMapping[str, str]) -> None:
    """Give libraries that start threads so many cores, where the user said nothing.

    Who sets OMP_NUM_THREADS has spoken for the libraries that follow it too.
    """
    followers = () if _OPENMP in environ else (*_LIBRARIES, _OPENMP)
    given = [name for name in (*followers, *_OTHERS) if name not in environ]
    environ.update(dict.fromkeys(given, str(share)))
    environ[_GIVEN] = ",".join(given)


def without_given_cores(environ: Mapping[str, str]) -> dict[str, str]:
    """Return variables without what `give_cores` has said of threads, so that another share can be given."""
    given = {_GIVEN, *environ.get(_GIVEN, "").split(",")}
    return {name: value for name, value in environ.items() if name not in given}


def processors(text: str) -> frozenset[int]:
    """Return the numbers of processors that a list such as `0-3,8` means. Raises ValueError for any other text."""
    if _PROCESSORS.fullmatch(text) is None:
        raise ValueError(text)
    meant: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        among = range(int(first), int(last or first) + 1)
        if not among:
            raise ValueError(text)
        meant.update(among)
    return frozenset(meant)
