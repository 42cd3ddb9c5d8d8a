"""Extraction: what is in a packed environment becomes a folder, links last, and then learns where it is."""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

from srv.environments.errors import ArchiveBroken, ArchiveLeaves, TooLong, UnpackFailed
from srv.environments.packed import BROKEN, PackedEnvironment
from srv.errors import quoted
from srv.storage import DISK_FULL
from srv.tar_members import BadMember, damage, extract_members

_CONDA_UNPACK = "bin/conda-unpack"


def extract(archive: Path, packed: PackedEnvironment, content: Path, tick: Callable[[], object]) -> None:
    """Extract an archive that was examined into a new folder; `tick` is called for each member, and may raise.

    Raises ArchiveBroken, ArchiveLeaves, or the OSError of a full disk; what was extracted until then is left there.
    """
    content.mkdir()
    try:
        with tarfile.open(archive) as opened:
            extract_members(opened, content, lambda _: tick(), may_lead_out=packed.base_links.__contains__)
    except BadMember as error:
        raise ArchiveLeaves(str(archive), quoted(error.member), f"which {error.how}") from None
    except BROKEN as error:
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            raise
        raise ArchiveBroken(str(archive), damage(error)) from None


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
