"""`python -m srv.environments ARCHIVE…`: extracts environments where their archives are, for images."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from srv.environments.extraction import conda_unpack, extract
from srv.environments.interpreters import interpreter_in
from srv.environments.packed import examine_archive
from srv.errors import SrvError

#: Seconds that conda-unpack may take.
_SECONDS = 600.0


def extract_in_place(archive: Path) -> None:
    """Put the folder of an environment in the place of its archive, under the archive's name.

    Raises EnvironmentUnusable where it does not fit this machine; the archive is then as it was.
    """
    packed = examine_archive(archive)
    part, aside = archive.with_name(f"{archive.name}.part"), archive.with_name(f"{archive.name}.packed")
    extract(archive, packed, part, lambda: None)
    archive.rename(aside)
    (part / packed.top).rename(archive)
    if part.exists():
        part.rmdir()
    conda_unpack(archive, archive, _SECONDS)
    interpreter_in(archive)
    aside.unlink()


def main(arguments: Sequence[str]) -> int:
    """Extract the archives that are named; 1 with the reason on stderr where one cannot be used."""
    try:
        for name in arguments:
            extract_in_place(Path(name).absolute())
    except SrvError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
