"""Artifacts elsewhere: what `parameters.uri` names with a scheme, on this machine before the model is loaded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from srv.fetching.errors import PickleFetched
from srv.model_settings import ModelSettings
from srv.storage import Fetch, NotStored
from srv.uris import scheme_of, shown_uri

if TYPE_CHECKING:
    from srv.fetching.cache import Cache


class LocalArtifact:
    """A model's artifact on this machine, which stays there until `release`."""

    def __init__(self, path: Path, release: Callable[[], None] = lambda: None) -> None:
        self.path = path
        self.release = release


class Artifacts:
    """Fetches the artifacts of models. Safe to call from several threads."""

    def __init__(
        self,
        fetch_of: Callable[[str], Fetch],
        *,
        folder: Path | None,
        limit: int | None,
        seconds: float,
        code_files: Collection[str] = (),
    ) -> None:
        """Fetch with what `fetch_of` returns; `code_files` are names of files that are code for their runtimes."""
        self._fetch_of = fetch_of
        # Absolute from the start, because a model may change the current directory.
        self._folder = None if folder is None else folder.absolute()
        self._limit = limit
        self._seconds = seconds
        self._code_files = code_files
        self._lock = threading.Lock()
        self._cache: Cache | None = None

    def fetch(self, settings: ModelSettings) -> LocalArtifact | None:
        """Return the artifact of a model whose `parameters.uri` has a scheme, downloaded where it must be; else None.

        Raises NoStorage, StorageUnused, StorageContested, FetchFailed or CacheUnusable, whose sentences show no secret of the URI.
        """
        uri = settings.parameters.uri
        if uri is None or scheme_of(uri) is None:
            return None
        fetch = self._fetch_of(uri)
        local = fetch.local()
        if local is not None:
            if not local.exists():
                raise NotStored(f"Nothing is at {local}, where {shown_uri(uri)} is to be")
            return LocalArtifact(local)
        title = settings.name if settings.version is None else f"{settings.name} version {settings.version}"
        copy = self._opened().copy_of(uri, fetch, title=title, seconds=self._seconds)
        if not settings.operator_allows_pickle:
            from srv.fetching.pickles import pickle_in  # as the cache

            pickle = pickle_in(copy.path, settings.parameters.format, self._code_files)
            if pickle is not None:
                copy.release()
                raise PickleFetched(shown_uri(uri), pickle, is_pickle=pickle not in self._code_files)
        return LocalArtifact(copy.path, copy.release)

    def _opened(self) -> Cache:
        """Return the cache, whose folder is made when it is first needed."""
        with self._lock:
            if self._cache is None:
                from srv.fetching.cache import Cache  # here, because most servers have all their files
                from srv.fetching.folders import cache_folder

                self._cache = Cache(cache_folder(self._folder), self._limit)
            return self._cache


def with_artifact(settings: ModelSettings, artifact: LocalArtifact | None) -> ModelSettings:
    """Return the settings as the runtime gets them: `parameters.uri` is the path on this machine."""
    if artifact is None:
        return settings
    return replace(settings, parameters=replace(settings.parameters, uri=str(artifact.path)))
