"""Interpreters of model processes: the Python of an environment, looked at as a file and run once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from srv.environments.errors import NoBasePython, NoEnvironment, OldPython, UnpackFailed, WithoutSrv
from srv.environments.machine import check_program
from srv.environments.packed import OLDEST
from srv.environments.programs import read_program
from srv.version import __version__

#: The module that a model process runs.
MODULE = "srv.modelprocess"
#: Seconds that an interpreter may take to tell of itself.
_SECONDS = 60.0
#: Runs on any Python, because an old one is to say that it is old.
_QUESTION = """
import json, sys
told = {"version": list(sys.version_info[:3]), "srv": None, "module": False, "runtimes": []}
if sys.version_info >= (3, 11):
    from importlib import metadata, util
    try:
        told["srv"] = metadata.version("srv-inference")
        told["module"] = util.find_spec(sys.argv[1]) is not None
        told["runtimes"] = sorted({each.name for each in metadata.entry_points(group="srv.runtimes")})
    except (metadata.PackageNotFoundError, ImportError):
        pass
sys.stdout.write(json.dumps(told))
"""


class Interpreter(msgspec.Struct, frozen=True):
    """A Python that model processes run in, with what it told of itself."""

    program: Path
    #: The folder of the environment.
    prefix: Path
    version: str
    #: The version of srv-inference there.
    srv: str
    #: The names of the runtimes that are registered there.
    runtimes: frozenset[str] = frozenset()
    #: Lets the environment be removed from the cache, as far as this user of it is concerned.
    release: Callable[[], object] = lambda: None


def own_interpreter() -> Interpreter:
    """Return the interpreter that runs the server, for models whose process has no environment of its own."""
    return Interpreter(Path(sys.executable), Path(sys.prefix), sys.version.split()[0], __version__)


def interpreter_in(folder: Path, *, named: Path | None = None, seconds: float = _SECONDS) -> Interpreter:
    """Return the interpreter of an environment's folder; `named` is how errors name it, where it came from an archive.

    Raises EnvironmentUnusable where it is none, does not fit this machine, is too old, or has no srv-inference.
    """
    shown = str(named or folder)
    program = _program(folder, shown)
    check_program(read_program(_resolved(program, shown)), shown)
    told = _asked(program, shown, seconds)
    version = ".".join(map(str, told["version"]))
    if tuple(told["version"][:2]) < OLDEST:
        raise OldPython(shown, version)
    if told["srv"] is None or not told["module"]:
        raise WithoutSrv(shown, _command(program, named), told["srv"])
    return Interpreter(program, folder, version, told["srv"], frozenset(told["runtimes"]))


def _program(folder: Path, shown: str) -> Path:
    for name in ("python", "python3"):
        program = folder / "bin" / name
        if program.exists():
            return program
        if program.is_symlink():
            raise NoBasePython(shown, os.path.realpath(program))
    if (folder / "Scripts" / "python.exe").exists() or (folder / "python.exe").exists():
        raise NoEnvironment(folder, "which was made on Windows")
    raise NoEnvironment(folder, "which has no bin/python")


def _resolved(program: Path, shown: str) -> bytes:
    try:
        return program.read_bytes()
    except OSError as error:
        raise UnpackFailed(shown, "The Python", f"cannot be read: {error.strerror}") from None


def _asked(program: Path, shown: str, seconds: float) -> dict[str, Any]:
    """Return what an interpreter tells of itself. Raises UnpackFailed where it cannot be run."""
    try:
        # Isolated, as the model process is: what variables and the user's own packages add does not count.
        ran = subprocess.run(  # noqa: S603 - the settings name this Python, to be run
            [program, "-I", "-c", _QUESTION, MODULE],
            timeout=seconds,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd="/",
        )
    except subprocess.TimeoutExpired:
        raise UnpackFailed(shown, "The Python", f"did not say within {seconds:g} s which version it is") from None
    except PermissionError:
        raise UnpackFailed(
            shown,
            "The Python",
            f"may not be run from {program}, whose disk may forbid programs (noexec): see cache_dir",
        ) from None
    except OSError as error:
        raise UnpackFailed(shown, "The Python", f"cannot be run here: {error.strerror}") from None
    if ran.returncode:
        raise UnpackFailed(shown, "The Python", f"cannot be used: {_how(ran.returncode, ran.stderr)}")
    try:
        told: dict[str, Any] = json.loads(ran.stdout)
    except ValueError:
        raise UnpackFailed(shown, "The Python", "printed something else than what it was asked for") from None
    return told


def _how(code: int, stderr: bytes) -> str:
    ended = f"it was ended by {signal.Signals(-code).name}" if code < 0 else f"it ended with exit code {code}"
    lines = stderr.decode(errors="replace").strip().splitlines()
    return f"{ended}: {lines[-1][:150]}" if lines else ended


def _command(program: Path, named: Path | None) -> str:
    """Return what mends an environment without srv-inference."""
    if named is not None:
        return f"pip install srv-inference=={__version__} in the environment that it was packed of, and pack that again"
    return f"{pip_in(program)} srv-inference=={__version__}"


def pip_in(program: Path) -> str:
    """Return the command that installs what stands behind it in the environment of an interpreter."""
    return f"{program} -m pip install"
