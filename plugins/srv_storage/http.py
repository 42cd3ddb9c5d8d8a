"""`http://` and `https://`: one file, resumed where a connection breaks, and an archive unpacked."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.message import Message
from http.client import HTTPException
from pathlib import Path
from types import MappingProxyType
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit

from srv.archives import is_archive, unpack
from srv.errors import said_by
from srv.storage import DISK_FULL, ContentChanged, Download, Fetch, FetchFailed, NoAccess, NotStored, Unreachable
from srv.uris import shown_uri
from srv_storage.fragment import CHUNK, check_file, split_fragment
from srv_storage.requests import Requests, Response

#: Seconds without a byte after which a connection counts as broken.
TIMEOUT = 30.0
#: How often in a row a connection may break without a byte more, and the wait after the first time, in seconds.
_TRIES, _WAIT = 5, 0.25


class HttpFetch(Fetch):
    """A file on a web server."""

    def __init__(self, uri: str, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        self._address, self._sha256 = split_fragment(uri)
        self._shown = shown_uri(self._address)
        self._requests = Requests(self._address, self._shown, headers)
        self._version: str | None = None

    def etag(self) -> str | None:
        """Return the hash in the URI, or what the server says: its ETag, or time of change and length."""
        if self._sha256 is not None:
            return f"sha256:{self._sha256}"
        try:
            headers = self._requests.head(TIMEOUT)
        except HTTPError as error:
            raise self._refused(error) from None
        except (HTTPException, OSError) as error:
            raise Unreachable(f"{self._shown} cannot be reached: {_reason(error)}") from None
        self._version = _version(headers)
        if self._version is None or headers.get("ETag"):
            return self._version
        return f"{self._version} {headers.get('Content-Length', '')}"

    def download(self, folder: Path, download: Download) -> Path:
        """Download the file, check its length and hash, and unpack it if it is an archive."""
        target = folder / _name(self._address)
        with target.open("xb") as file:
            self._receive(file, download)
        check_file(target, self._address, self._sha256)
        return unpack(target, folder, download) if is_archive(target.name) else target

    def _receive(self, file: IO[bytes], download: Download) -> None:
        """Write the whole content; go on where a connection breaks, or begin again if the server cannot."""
        failures = 0
        resume: str | None = None
        while True:
            began = file.tell()
            try:
                with self._requests.get(self._timeout(download), start=began, unchanged=resume) as response:
                    resume = self._begin(response, file, download)
                    while chunk := response.read(CHUNK):
                        file.write(chunk)
                        download.add(len(chunk))
                    if response.size is None or file.tell() == response.size:
                        return
                    broken = f"it sent {file.tell()} bytes of {response.size}"
            except HTTPError as error:
                if error.code < 500 and error.code not in (408, 429):
                    raise self._refused(error) from None
                broken = _reason(error)
            except (HTTPException, OSError) as error:
                if isinstance(error, OSError) and error.errno in DISK_FULL:
                    raise
                broken = _reason(error)
            failures = 1 if file.tell() > began and resume is not None else failures + 1
            if failures >= _TRIES:
                raise Unreachable(f"The download of {self._shown} broke off {failures} times; the last time, {broken}")
            if resume is None:
                _begin_at(0, file, download)
            time.sleep(max(0.0, min(_WAIT * 2 ** (failures - 1), download.seconds_left())))
            download.add(0)  # raises where the time is over

    def _begin(self, response: Response, file: IO[bytes], download: Download) -> str | None:
        """Check what is about to come; return the ETag by which a broken download may go on, if it may."""
        version = _version(response.headers)
        if self._version is not None and version != self._version:
            raise ContentChanged(f"{self._shown} has changed while it was downloaded")
        coding = response.headers.get("Content-Encoding", "identity")
        if coding != "identity" and not self._address.partition("?")[0].lower().endswith((".gz", ".tgz")):
            raise FetchFailed(f"{self._shown} comes in the content encoding '{coding}', though none was asked for")
        if not response.has_end and self._sha256 is None:
            raise FetchFailed(
                f"The server does not say how long {self._shown} is, so nobody could tell whether all of it has come. Give "
                "its hash, #sha256=…, at the end of parameters.uri"
            )
        _begin_at(response.start, file, download)
        if response.size is not None:
            download.expect(response.size)
        etag = response.headers.get("ETag", "")
        takes_ranges = response.headers.get("Accept-Ranges", "bytes") == "bytes"
        return etag if etag.startswith('"') and takes_ranges else None

    def _refused(self, error: HTTPError) -> FetchFailed:
        """Return the error for an answer that is none of 200 to 399."""
        error.close()
        said = f"{error.code} {error.reason}"
        match error.code:
            case code if 300 <= code < 400:
                return FetchFailed(
                    f"srv does not follow the redirect ({code}) of {self._shown}: it leads in a circle, or to no address of "
                    "http or https"
                )
            case 404 | 410:
                return NotStored(f"Nothing is at {self._shown}: the server answers {said}. Mend parameters.uri")
            case 401 | 403 | 407:
                return NoAccess(
                    f"The server refuses {self._shown} with {said}. Give credentials that may read it, or a new signed address"
                )
            case 412 | 416:
                return ContentChanged(f"{self._shown} has changed while it was downloaded: the server answers {said}")
            case code if code >= 500 or code in (408, 429):
                return Unreachable(f"The server cannot give {self._shown} now: it answers {said}")
        return FetchFailed(f"The server answers {said} for {self._shown}")

    def _timeout(self, download: Download) -> float:
        return max(0.1, min(TIMEOUT, download.seconds_left()))


def _begin_at(start: int, file: IO[bytes], download: Download) -> None:
    """Drop what came after a place of the content."""
    download.add(start - file.tell())
    file.seek(start)
    file.truncate()


def _version(headers: Message) -> str | None:
    """Return what names a version of the content, as the server says it."""
    return headers.get("ETag") or headers.get("Last-Modified")


def _name(address: str) -> str:
    """Return the last part of the address's path as the name of a file; a name of srv's own where it has none."""
    name = unquote(urlsplit(address).path.rpartition("/")[2]).replace("/", "_").replace("\0", "_")
    return name if name.strip(".") and len(name.encode()) <= 200 else "artifact"


def _reason(error: Exception) -> str:
    """Return why a connection failed, in the words of the library or of the system."""
    reason = error.reason if isinstance(error, URLError) and not isinstance(error, HTTPError) else error
    if isinstance(reason, TimeoutError):
        return f"no answer within {TIMEOUT:g} s"
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror
    return (said_by(reason) if isinstance(reason, BaseException) else str(reason)) or type(error).__name__
