"""Archives of environments, made member by member, as venv-pack and conda-pack make them and as an attacker might."""

from __future__ import annotations

import io
import sys
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from srv.version import __version__

#: The Python that runs the tests, past all links.
BASE = str(Path(sys.executable).resolve())
VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
SITE = f"lib/python{VERSION}/site-packages"
METADATA = f"Metadata-Version: 2.1\nName: srv-inference\nVersion: {__version__}\n"


def link(name: str, target: str) -> tarfile.TarInfo:
    """A symbolic link."""
    return special(name, tarfile.SYMTYPE, target)


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """A member that is no file: a link, a device, a pipe."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def venv(top: str = "", *, base: str = BASE, version: str = VERSION, srv: bool = True) -> dict[str, object]:
    """The members of an environment by venv-pack: links to the Python it was made with, and packages."""
    site = f"{top}lib/python{version}/site-packages"
    return {
        f"{top}pyvenv.cfg": f"home = {Path(base).parent}\ninclude-system-site-packages = false\nversion = {version}.1\n",
        f"{top}bin/python": link(f"{top}bin/python", base),
        f"{top}bin/python3": link(f"{top}bin/python3", "python"),
        f"{top}lib64": link(f"{top}lib64", "lib"),
        f"{top}{site.removeprefix(top)}/colours.py": "RED = 1\n",
        **({f"{site}/srv_inference-{__version__}.dist-info/METADATA": METADATA} if srv else {}),
    }


def pack(archive: Path, members: Mapping[str, object], extra: Iterable[tuple[str, object]] = ()) -> Path:
    """Write an archive of these members: texts and bytes are files, TarInfos are what they say."""
    kinds = {".gz": "w:gz", ".tgz": "w:gz", ".bz2": "w:bz2", ".xz": "w:xz"}
    with tarfile.open(archive, kinds.get(archive.suffix, "w")) as opened:
        for name, content in (*members.items(), *extra):
            if isinstance(content, tarfile.TarInfo):
                opened.addfile(content)
                continue
            data = content.encode() if isinstance(content, str) else content
            assert isinstance(data, bytes)
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o755
            opened.addfile(member, io.BytesIO(data))
    return archive
