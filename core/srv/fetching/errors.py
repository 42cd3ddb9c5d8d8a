"""Errors of the cache of artifacts, each with its sentence."""

from __future__ import annotations

from pathlib import Path

from srv.errors import SrvError
from srv.fetching.sizes import shown_size
from srv.storage import FetchFailed


class CacheUnusable(SrvError):
    """The folder of the cache cannot be made, or is not this user's."""

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(
            f"The cache folder {folder} cannot be used: {reason}. Name another one with cache_dir, or SRV_CACHE_DIR."
        )


class CacheFull(FetchFailed):
    """The limit of the cache leaves no room for an artifact."""

    def __init__(self, shown: str, size: int, limit: int, kept: int) -> None:
        kept_too = f" with the {shown_size(kept)} that are in use" if kept else ""
        super().__init__(
            f"{shown} has {shown_size(size)} or more, which{kept_too} is beyond the cache_limit of {shown_size(limit)}. "
            "Raise it, or unload models"
        )


class DiskFull(FetchFailed):
    """The disk of the cache leaves no room for an artifact."""

    def __init__(self, shown: str, folder: Path, size: int | None = None, free: int | None = None) -> None:
        numbers = (
            f": {shown_size(size)} more are needed and {shown_size(free)} are free"
            if size is not None and free is not None
            else ""
        )
        super().__init__(
            f"The disk of the cache folder {folder} has no room for {shown}{numbers}. Nothing of it was kept. Make room, or "
            "name a folder on another disk with cache_dir, or SRV_CACHE_DIR"
        )


class FetchTooLong(FetchFailed):
    """The time for the load was over before the artifact was there."""

    def __init__(self, doing: str, seconds: float) -> None:
        super().__init__(f"{doing} was not over after the {seconds:g} s of load_timeout. Raise it where that is right")


class PickleFetched(FetchFailed):
    """What was fetched holds code, and the operator has not said that it may run."""

    def __init__(self, shown: str, file: str, *, is_pickle: bool) -> None:
        what = "is a pickle, which is code" if is_pickle else "names code that runs when it is loaded"
        super().__init__(
            f"'{file}' of {shown} {what}. If you trust whoever may write there, say \"allow_pickle\": true "
            "in the model-settings.json of the folder that srv start is given, or set SRV_MODEL__ALLOW_PICKLE=true"
        )
