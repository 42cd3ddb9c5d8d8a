"""The storage author's contract: how to fetch what a model's `parameters.uri` names, such as `s3://bucket/model.onnx`."""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Protocol

from srv.errors import SrvError, closed

#: The numbers of an OSError that says that no more can be written.
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class FetchFailed(SrvError):
    """What a URI names could not be fetched: the sentence says why, and what to do."""

    def __init__(self, sentence: str) -> None:
        super().__init__(closed(sentence))


class NotStored(FetchFailed):
    """Nothing is at the URI. A copy in the cache is not served."""


class NoAccess(FetchFailed):
    """The storage refuses the credentials, or asks for some. A copy in the cache is not served."""


class Unreachable(FetchFailed):
    """The storage cannot be asked now. Raised by `etag`, the newest copy in the cache is served, with a warning."""


class ContentChanged(FetchFailed):
    """What is at the URI is not any more what `etag` told of. srv asks again, a few times."""


class Download(Protocol):
    """A download as it runs: tell it what comes, because it writes the log, keeps the limits and stops what takes too long."""

    def expect(self, size: int) -> None:
        """Say how many bytes will come, where that is known; may be called again with a better number.

        Raises FetchFailed where the cache or the disk has no room for them; what no model uses is let go for it.
        """

    def add(self, size: int) -> None:
        """Say that so many bytes more have come. Call it at least for each megabyte, from any thread.

        A negative number takes back what must come again. Raises FetchFailed when the download has to end, because its
        time is over or the cache has no more room.
        """

    def seconds_left(self) -> float:
        """Return how long the download may still take, for time-outs of libraries that never call `add`."""


class Fetch(ABC):
    """What one URI names. Made for each load by `srv_storage`, without asking the storage; used in one thread at a time.

    An error that is none of those above is told with the plugin's name; an OSError of a full disk may simply go through.
    Errors and logs show no secret: srv takes user, password and query out of the URIs in what the methods raise; other
    secrets a plugin keeps to itself.
    """

    def local(self) -> Path | None:
        """Return where it is on this machine already, so that it is neither downloaded nor cached; None mostly."""
        return None

    @abstractmethod
    def etag(self) -> str | None:
        """Return what changes exactly when the content does: an ETag, a checksum, a commit. Cheap; called at each load.

        A copy in the cache with the same text is used. None where there is no such thing: each load downloads then.
        Raises NotStored, NoAccess or Unreachable.
        """

    @abstractmethod
    def download(self, folder: Path, download: Download) -> Path:
        """Download everything into an empty folder; return the artifact: the one file in it, or the folder itself.

        Called after `etag` and on the same object. Raises ContentChanged where the content is another by now, and
        whatever else where it is not complete. Nothing of a download that fails is kept.
        """
