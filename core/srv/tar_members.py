"""Members of tar archives, written without tarfile's filters, which the first releases of Python 3.11 lack.

Nothing leaves the folder: names are checked, links come last, so that nothing is written through one, and devices are refused.
"""

from __future__ import annotations

import os
import posixpath
import shutil
import stat
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath

_CHUNK = 1 << 20
#: How many links the system follows.
_MOST_HOPS = 40
#: Rights that a file keeps: nobody else writes to it, and nothing runs as another user.
_RIGHTS = stat.S_IRWXU | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH


class BadMember(tarfile.TarError):
    """A member that is not extracted: its name, and what is wrong with it as a sentence goes on."""

    def __init__(self, member: str, how: str) -> None:
        super().__init__(f"'{member}' {how}")
        self.member = member
        self.how = how


def damage(error: BaseException) -> str:
    """Return on one line what is wrong with an archive; tarfile gives a list where no way of reading it has worked."""
    text = str(error)
    return "it is no tar archive" if "\n" in text else text or type(error).__name__


def plain_name(member: tarfile.TarInfo) -> str:
    """Return a member's name without dots and slashes that mean nothing. Raises BadMember for one that leaves the folder."""
    name = posixpath.normpath(member.name) if member.name else ""
    parts = PurePosixPath(member.name.replace("\\", "/")).parts
    if not name or name.startswith("/") or ".." in parts or "\0" in member.name:
        raise BadMember(member.name, "would leave its folder")
    return name


def leads_out(name: str, target: str) -> bool:
    """Whether a link of that name, by its words alone, leads out of the folder."""
    reached = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
    return target.startswith("/") or reached.split("/")[0] == ".."


def extract_members(
    opened: tarfile.TarFile,
    content: Path,
    tick: Callable[[tarfile.TarInfo], object],
    *,
    may_lead_out: Callable[[str], bool] = lambda _: False,
) -> None:
    """Write an archive into a folder; `tick` is called before each member, and may raise.

    A link may lead out of the folder where its name may. Raises BadMember, and whatever tarfile and the disk raise.
    """
    links: dict[str, str] = {}
    for member in opened:
        tick(member)
        name = plain_name(member)
        path = content / name
        if member.issym():
            if leads_out(name, member.linkname) and not may_lead_out(name):
                raise BadMember(name, f"is a link that leads out of its folder, to '{member.linkname}'")
            links[name] = member.linkname
        elif member.isdir():
            path.mkdir(parents=True, exist_ok=True)
        elif member.islnk():
            _link_hard(content, member, path)
        elif member.isreg():
            _write(opened, member, path)
        else:
            raise BadMember(name, "is a device or a pipe")
    for name, target in links.items():
        if any(above.as_posix() in links for above in PurePosixPath(name).parents):
            raise BadMember(name, "lies behind a link")
        path = content / name
        if path.is_dir():
            raise BadMember(name, "is a link and a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(target)
    _check_links(content, links, may_lead_out)


def _check_links(content: Path, links: Iterable[str], may_lead_out: Callable[[str], bool]) -> None:
    """Raise BadMember where a link leads out of the folder by way of other links."""
    inside = Path(os.path.realpath(content))
    for name in links:
        hops = (str(hop.relative_to(content)) for hop in _hops(content / name) if hop.is_relative_to(content))
        if not any(map(may_lead_out, hops)) and not Path(os.path.realpath(content / name)).is_relative_to(inside):
            raise BadMember(name, "is a link that leads out of its folder by way of others")


def _hops(path: Path) -> Iterator[Path]:
    """Yield a link, and the links that it leads to."""
    for _ in range(_MOST_HOPS):
        if not path.is_symlink():
            return
        yield path
        path = Path(os.path.normpath(path.parent / path.readlink()))


def _write(opened: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    source = opened.extractfile(member)
    assert source is not None
    with source, path.open("xb") as file:
        shutil.copyfileobj(source, file, _CHUNK)
    path.chmod(member.mode & _RIGHTS | stat.S_IRUSR | stat.S_IWUSR)
    os.utime(path, (member.mtime, member.mtime))


def _link_hard(content: Path, member: tarfile.TarInfo, path: Path) -> None:
    """Link a file a second time, which was extracted before."""
    name = posixpath.normpath(member.linkname)
    if leads_out("", member.linkname) or not (content / name).is_file():
        raise BadMember(path.name, f"is a hard link to '{member.linkname}', which is not in the archive")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.hardlink_to(content / name)
