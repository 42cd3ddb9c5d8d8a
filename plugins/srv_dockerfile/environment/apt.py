"""apt.txt: packages of Debian's that the image has, one on each line."""

from __future__ import annotations

import re
from pathlib import Path

from srv_dockerfile.errors import BadSystemPackage

FILE = "apt.txt"
#: A name, an architecture and a version or release, as apt-get takes them; nothing that it would read as an option.
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(?::[a-z0-9-]+)?(?:=[A-Za-z0-9.+:~-]+|/[a-z0-9-]+)?")


def system_packages(folder: Path) -> list[str]:
    """Return the packages that the folder's apt.txt names; comments begin with `#`. Raises BadSystemPackage."""
    path = folder / FILE
    if not path.is_file():
        return []
    found = []
    for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines():
        said = line.partition("#")[0].strip()
        # A minus at the end would take a package away.
        if said and (_PACKAGE.fullmatch(said) is None or said.endswith("-")):
            raise BadSystemPackage(FILE, line.strip())
        found += [said] if said else []
    return list(dict.fromkeys(found))
