"""Limits of a model process, set between its fork and its program: the memory it may ask for, its processors."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Collection

from srv.environments.errors import EnvironmentUnusable
from srv.errors import listed


class NoSuchProcessors(EnvironmentUnusable):
    """None of the processors that a model's process is to run on may be used by the server."""

    def __init__(self, cpus: Collection[int], allowed: Collection[int]) -> None:
        super().__init__(
            f"process.cpus names {listed(map(str, cpus))}, and the server may use the processors {listed(map(str, allowed))} "
            "alone"
        )


def limits(memory: int | None, cpus: Collection[int]) -> Callable[[], None] | None:
    """Return what sets the limits in the child before it becomes another program; None where there are none.

    Raises NoSuchProcessors. The memory that counts is what the process has for itself, not what it reserves, maps of files or
    shares, because libraries of numbers and of GPUs reserve far more than they use.
    """
    wanted = frozenset(cpus)
    if wanted and hasattr(os, "sched_getaffinity"):
        allowed = os.sched_getaffinity(0)
        if not wanted & allowed:
            raise NoSuchProcessors(wanted, allowed)
        wanted &= allowed
    if memory is None and not wanted:
        return None

    def set_limits() -> None:
        if memory is not None:
            resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
        if wanted and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, wanted)

    return set_limits
