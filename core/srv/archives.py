"""Archives: .tar, .tar.gz, .tgz, .tar.bz2, .tar.xz and .zip are unpacked, and nothing in them leaves the folder."""

from __future__ import annotations

import stat
import tarfile
import zipfile
import zlib
from lzma import LZMAError
from pathlib import Path, PurePosixPath

from srv.errors import quoted
from srv.storage import Download, FetchFailed
from srv.tar_members import damage, extract_members

_TAR = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_ZIP = (".zip",)
#: What the libraries raise for an archive that is damaged, or that they refuse.
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, LZMAError, EOFError, NotImplementedError, RuntimeError)


def is_archive(name: str) -> bool:
    """Return whether a file of that name is unpacked."""
    return name.lower().endswith(_TAR + _ZIP)


def unpack(archive: Path, folder: Path, download: Download) -> Path:
    """Unpack an archive into a folder and remove it. Return the folder, or the only folder in it, if that is all.

    Raises FetchFailed for a damaged archive, for one whose files would leave the folder, and where there is no room.
    """
    content = folder / "content"
    content.mkdir()
    try:
        if archive.name.lower().endswith(_ZIP):
            _unzip(archive, content, download)
        else:
            _untar(archive, content, download)
    except _BROKEN as error:
        raise FetchFailed(f"The archive {quoted(archive.name)} cannot be unpacked: {damage(error)}") from None
    archive.unlink()
    inside = list(content.iterdir())
    if not inside:
        raise FetchFailed(f"The archive {quoted(archive.name)} is empty")
    return inside[0] if len(inside) == 1 and inside[0].is_dir() and not inside[0].is_symlink() else content


def _untar(archive: Path, content: Path, download: Download) -> None:
    with tarfile.open(archive) as opened:
        size = archive.stat().st_size

        def announce(member: tarfile.TarInfo) -> None:
            """Ask for the room for a member before it is written."""
            nonlocal size
            size += member.size
            download.expect(size)
            download.add(0)  # raises where the time is over

        extract_members(opened, content, announce)


def _unzip(archive: Path, content: Path, download: Download) -> None:
    with zipfile.ZipFile(archive) as opened:
        members = opened.infolist()
        download.expect(archive.stat().st_size + sum(member.file_size for member in members))
        for member in members:
            name = PurePosixPath(member.filename.replace("\\", "/"))
            if name.is_absolute() or ".." in name.parts:
                raise FetchFailed(
                    f"The archive {quoted(archive.name)} has the file {quoted(member.filename)}, which would leave its folder"
                )
            if stat.S_ISLNK(member.external_attr >> 16):
                raise FetchFailed(
                    f"The archive {quoted(archive.name)} has the link {quoted(member.filename)}; links in .zip are not taken"
                )
            opened.extract(member, content)
            download.add(0)  # as above
