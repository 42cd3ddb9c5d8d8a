"""The program of a model process: which interpreter, and with which environment variables and limits."""

from __future__ import annotations

import os
import sys

from srv.processes.children import ChildProgram
from srv.processes.groups import Wanted


def program_of(wanted: Wanted, number: int) -> ChildProgram:  # noqa: ARG001  of several, each may have devices of its own
    """Return how the process of that number is started. Takes long where an environment is made ready first."""
    return ChildProgram(sys.executable, {**os.environ, "PYTHONNOUSERSITE": "1"})
