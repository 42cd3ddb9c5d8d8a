"""The program of a model process: which interpreter, and with which environment variables and limits."""

from __future__ import annotations

import os

from srv.cores import share_of
from srv.environments.process_limits import limits
from srv.environments.variables import placement_of, process_environ
from srv.processes.children import ChildProgram
from srv.processes.groups import Wanted


def program_of(wanted: Wanted, number: int) -> ChildProgram:
    """Return how the process of that number is started. Takes long where an environment is made ready first.

    Raises EnvironmentUnusable, or what else keeps the environment from being ready, with a sentence for people.
    """
    interpreter = wanted.interpreter()
    process = wanted.process
    placement = placement_of(process, number, wanted.chosen(number))
    environ = process_environ(
        process, placement, prefix=interpreter.prefix, environ=os.environ, cores=share_of(process.count)
    )
    return ChildProgram(str(interpreter.program), environ, limits(process.memory, placement.cpus or ()))
