"""`file:///path`: served where it is; an archive, or a file whose SHA-256 is given, is copied into the cache."""

from __future__ import annotations

import stat
from pathlib import Path
from urllib.parse import unquote

from srv.archives import is_archive, unpack
from srv.errors import quoted
from srv.storage import ContentChanged, Download, Fetch, FetchFailed, NoAccess, NotStored
from srv_storage.fragment import CHUNK, check_file, split_fragment


class FileFetch(Fetch):
    """A file or folder of this machine, named by its absolute path."""

    def __init__(self, uri: str) -> None:
        self._address, self._sha256 = split_fragment(uri)
        host, slash, path = self._address.partition("://")[2].partition("/")
        if host not in ("", "localhost") or not slash or "\0" in unquote(path):
            raise FetchFailed(f"{quoted(self._address)} names no file of this machine. Write file:///absolute/path")
        self._path = Path("/", unquote(path).lstrip("/"))
        self._is_served_in_place = self._sha256 is None and not is_archive(self._path.name)
        self._etag: str | None = None

    def local(self) -> Path | None:
        """Return the path itself, but for what must be unpacked or checked."""
        if not self._is_served_in_place:
            return None
        self._check_there()
        return self._path

    def etag(self) -> str | None:
        """Return the file's time of change, size and inode."""
        self._check_there()
        self._etag = self._stamp()
        return self._etag

    def download(self, folder: Path, download: Download) -> Path:
        """Copy the file, check its hash and unpack it if it is an archive."""
        target = folder / self._path.name
        download.expect(self._path.stat().st_size)
        with self._path.open("rb") as source, target.open("xb") as copy:
            while chunk := source.read(CHUNK):
                copy.write(chunk)
                download.add(len(chunk))
        if self._stamp() != self._etag:
            raise ContentChanged(f"{self._address} has changed while it was copied")
        check_file(target, self._address, self._sha256)
        return unpack(target, folder, download) if is_archive(target.name) else target

    def _stamp(self) -> str:
        found = self._path.stat()
        return f"{found.st_mtime_ns}-{found.st_size}-{found.st_ino}"

    def _check_there(self) -> None:
        try:
            is_folder = stat.S_ISDIR(self._path.stat().st_mode)
            if not is_folder:
                self._path.open("rb").close()
        except PermissionError:
            raise NoAccess(f"{self._address} may not be read by the user of this process. Change its rights") from None
        except (FileNotFoundError, NotADirectoryError):
            raise NotStored(f"Nothing is at {self._address}, which parameters.uri names. Mend the path") from None
        except OSError as error:
            raise FetchFailed(f"{self._address} cannot be read: {error.strerror}") from None
        if is_folder and not self._is_served_in_place:
            raise FetchFailed(f"{self._address} is a folder, and neither an archive nor a file with a SHA-256")
