"""Environments of model processes: the Python and the packages of a folder or an archive, and whether they fit."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from srv.environments.errors import EnvironmentUnusable, NoEnvironment
from srv.environments.interpreters import Interpreter, interpreter_in, own_interpreter

__all__ = ["EnvironmentUnusable", "Interpreter", "ready_interpreter"]


def ready_interpreter(
    environment: Path | None, *, cache_dir: Path | None, cache_limit: int | None, title: str, seconds: float
) -> Interpreter:
    """Return the interpreter of a model's processes, ready to be run; the server's own where there is no environment.

    An archive is extracted into the cache first, which may take minutes and is told in the log. The interpreter is in use
    until its `release`. Raises EnvironmentUnusable, FetchFailed for a cache without room, or CacheUnusable.
    """
    if environment is None:
        return own_interpreter()
    if environment.is_dir():
        return interpreter_in(environment)
    if not environment.exists():
        raise NoEnvironment(environment, "where nothing is")
    from srv.environments.unpacking import UnpackedEnvironments  # here, because most environments are folders
    from srv.fetching.folders import cache_folder

    unpacked = UnpackedEnvironments(cache_folder(cache_dir), cache_limit)
    copy = unpacked.copy_of(environment, title=title, seconds=seconds)
    try:
        return replace(interpreter_in(copy.path, named=environment), release=copy.release)
    except BaseException:
        copy.release()
        raise
