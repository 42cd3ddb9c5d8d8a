"""Extraction: what is in a packed environment becomes a folder, links last, and then learns where it is."""

from __future__ import annotations

import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

from srv.environments.errors import ArchiveBroken, ArchiveLeaves, TooLong, UnpackFailed
from srv.environments.packed import BROKEN, PackedEnvironment, plain_name
from srv.errors import quoted
from srv.storage import DISK_FULL

_CONDA_UNPACK = "bin/conda-unpack"
#: How many links the system follows.
_MOST_HOPS = 40


def extract(archive: Path, packed: PackedEnvironment, content: Path, tick: Callable[[], object]) -> None:
    """Extract an archive that was examined into a new folder; `tick` is called for each member, and may raise.

    Raises ArchiveBroken, ArchiveLeaves, or the OSError of a full disk; what was extracted until then is left there.
    """
    content.mkdir()
    links: list[tuple[str, str]] = []
    try:
        with tarfile.open(archive) as opened:
            for member in opened:
                tick()
                if member.issym():
                    links.append((plain_name(member), member.linkname))
                else:
                    opened.extract(member, content, filter="data")
    except BROKEN as error:
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            raise
        raise ArchiveBroken(str(archive), f"{type(error).__name__}: {error}") from None
    for name, target in links:
        _link(content / name, target)
    _check_links(archive, packed, content)


def conda_unpack(environment: Path, archive: Path, seconds: float) -> None:
    """Run conda-unpack, where an environment has it, in the place where the environment will stay.

    Raises TooLong or UnpackFailed.
    """
    script = environment / _CONDA_UNPACK
    if not script.is_file():
        return
    try:
        # Not with -I, because the script imports a module from beside itself.
        subprocess.run(  # noqa: S603 - the environment's own, by its own Python
            [environment / "bin" / "python", "-s", "-E", script],
            cwd=environment, check=True, timeout=seconds, stdin=subprocess.DEVNULL, capture_output=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise TooLong(str(archive), "conda-unpack", seconds) from None
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").strip().splitlines()
        how = f"failed with exit code {error.returncode}{': ' + lines[-1][:200] if lines else ''}"
        raise UnpackFailed(str(archive), "conda-unpack", how) from None
    except OSError as error:
        raise UnpackFailed(str(archive), "conda-unpack", f"cannot be run: {error.strerror}") from None


def _check_links(archive: Path, packed: PackedEnvironment, content: Path) -> None:
    """Raise ArchiveLeaves where a link leads out of the environment by way of other links."""
    inside = Path(os.path.realpath(content))
    bases = {content / name for name in packed.base_links}
    for path in _links_in(content):
        if bases.isdisjoint(_hops(path)) and not Path(os.path.realpath(path)).is_relative_to(inside):
            name = str(path.relative_to(content))
            raise ArchiveLeaves(str(archive), f"the link {quoted(name)}", "which leads out of its folder")


def _link(path: Path, target: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _hops(path: Path) -> Iterator[Path]:
    """Yield a link, and the links that it leads to."""
    for _ in range(_MOST_HOPS):
        if not path.is_symlink():
            return
        yield path
        path = Path(os.path.normpath(path.parent / path.readlink()))


def _links_in(content: Path) -> Iterator[Path]:
    for directory, folders, names in os.walk(content):
        yield from (path for name in (*folders, *names) if (path := Path(directory, name)).is_symlink())
