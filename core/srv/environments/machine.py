"""This machine as environments see it: its processor, its C library, and whether a program can run on it."""

from __future__ import annotations

import functools
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from srv.environments.errors import OtherMachine
from srv.environments.programs import Program, Version, offered, shown_version

#: Where the C++ library is, for environments that bring none.
_LIBRARIES = (
    "/usr/lib64",
    "/usr/lib",
    f"/usr/lib/{platform.machine()}-linux-gnu",
    f"/lib/{platform.machine()}-linux-gnu",
)
_CXX = "libstdc++.so.6"


def glibc() -> Version | None:
    """Return the version of the C library; None where it is another one, such as musl."""
    try:
        said = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, ValueError, OSError):
        return None
    _, _, version = said.partition(" ")
    parts = version.split(".")
    return tuple(map(int, parts[:2])) if all(part.isdigit() for part in parts[:2]) else None


def this_machine() -> str:
    """Return what this machine is, as a sentence says it."""
    version = glibc()
    library = "" if version is None else f" with glibc {shown_version(version)}"
    return f"{platform.system()} on {platform.machine()}{library}"


def check_program(program: Program, name: str) -> None:
    """Raise OtherMachine where the Python of the environment `name`, or a library of it, cannot run here."""
    if not program.system:
        return  # a script, perhaps, of which only running it tells more
    if program.system != platform.system():
        raise OtherMachine(name, program.system, this_machine())
    if program.machine and program.machine != platform.machine():
        raise OtherMachine(name, f"{program.system} on {program.machine}", this_machine())
    if program.loader and not Path(program.loader).exists():
        raise OtherMachine(name, f"{program.system} with the loader {program.loader}", f"{this_machine()} without it")
    needed, here = program.needs.get("GLIBC"), glibc()
    if needed is not None and here is not None and needed > here:
        raise OtherMachine(name, f"glibc {shown_version(needed)} or newer", this_machine())


def doubts(path: str, program: Program, cxx: Version | None) -> Iterator[str]:
    """Yield what a library needs and this machine lacks; it matters where a model imports it.

    `cxx` is the newest version of GLIBCXX that the environment itself brings.
    """
    needed, here = program.needs.get("GLIBC"), glibc()
    if needed is not None and here is not None and needed > here:
        yield f"{path} needs glibc {shown_version(needed)}, and this machine has {shown_version(here)}"
    needed = program.needs.get("GLIBCXX")
    has = max(filter(None, (cxx, _cxx_here())), default=None)
    if needed is not None and has is not None and needed > has:
        yield f"{path} needs GLIBCXX_{shown_version(needed)}, and libstdc++ has {shown_version(has)}: add libstdcxx-ng to it"


@functools.cache
def _cxx_here() -> Version | None:
    for folder in _LIBRARIES:
        try:
            return offered(Path(folder, _CXX).read_bytes()).get("GLIBCXX")
        except OSError:
            continue
    return None
