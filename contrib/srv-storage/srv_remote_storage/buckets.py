"""Buckets: models in S3, Google Cloud Storage and Azure Blob Storage."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from obstore.store import ObjectStore

from srv.archives import is_archive, unpack
from srv.storage import Download, Fetch, FetchFailed, NotStored
from srv.uris import shown_uri
from srv_remote_storage.downloads import download_objects
from srv_remote_storage.failures import CREDENTIALS, told
from srv_remote_storage.objects import MOST_OBJECTS, StoredObject, as_files, identity
from srv_remote_storage.stores import open_store

_URI = re.compile(r"(?P<scheme>[A-Za-z0-9]+)://(?:(?P<user>[^/]*)@)?(?P<host>[^/@]*)(?:/(?P<key>.*))?", re.DOTALL)
#: What may be a bucket or container; nothing that would change the host that is asked.
_BUCKET = re.compile(r"[A-Za-z0-9$][A-Za-z0-9._-]*")
_AZURE_HOST = re.compile(r"(?P<account>[a-z0-9]+)\.(?:dfs|blob)\.core\.windows\.net")


class Place(NamedTuple):
    """Where a URI points to; `scheme` is s3, gs or az, and `account` an account of Azure that the URI names."""

    scheme: str
    bucket: str
    key: str
    account: str | None = None


def place_of(uri: str) -> Place:
    """Return where a URI points to. Raises FetchFailed where it names no bucket, or credentials."""
    found = _URI.fullmatch(uri)
    scheme, user, host, key = found.group("scheme", "user", "host", "key") if found else ("", None, "", "")
    scheme = {"abfs": "az", "abfss": "az"}.get(scheme.lower(), scheme.lower())
    account = _AZURE_HOST.fullmatch(host) if scheme == "az" else None
    if account and user is not None:
        user, host = None, user
    if user is not None:
        raise FetchFailed(f"{shown_uri(uri)} has a user. Credentials come from the environment: {CREDENTIALS[scheme]}")
    if not _BUCKET.fullmatch(host):
        raise FetchFailed(f"{shown_uri(uri)} names no bucket: write {scheme or 's3'}://BUCKET/FOLDER-OR-FILE")
    return Place(scheme, host, (key or "").lstrip("/"), account["account"] if account else None)


class BucketFetch(Fetch):
    """The objects below a URI, as a folder; or the one object that it names, as a file, where there are none below."""

    def __init__(self, uri: str) -> None:
        self._place = place_of(uri)
        self._uri = shown_uri(uri)
        self._store: ObjectStore | None = None
        self._objects: list[StoredObject] = []
        self._is_file = False

    def etag(self) -> str | None:
        """Return one text for names, ETags and sizes of all objects: one request for each thousand of them."""
        with told(self._uri, self._place.scheme):
            self._store = open_store(self._place.scheme, self._place.bucket, self._place.account)
            self._objects = as_files(list(self._below(self._store)), self._uri)
            self._is_file = not self._objects
            if self._is_file:
                self._objects = [self._named(self._store)]
        return identity(self._objects)

    def download(self, folder: Path, download: Download) -> Path:
        """Download all objects as they were when `etag` was called; unpack one that is an archive."""
        if self._store is None:
            self.etag()
        assert self._store is not None
        with told(self._uri, self._place.scheme):
            download_objects(self._store, self._objects, folder, download, self._uri)
        if not self._is_file:
            return folder
        file = folder / self._objects[0].name
        return unpack(file, folder, download) if is_archive(file.name) else file

    def _below(self, store: ObjectStore) -> Iterable[StoredObject]:
        """Yield the objects below the key, at most one more than are allowed."""
        prefix = self._place.key.rstrip("/")
        start, count = f"{prefix}/" if prefix else "", 0
        for batch in store.list(prefix or None, chunk_size=1000):
            for meta in batch:
                path = meta["path"]
                if path != prefix and not path.startswith(start):
                    raise FetchFailed(f"The storage lists {path!r} below {self._uri}, where it is not")
                yield StoredObject(path, path[len(start) :], meta["size"], meta["e_tag"], meta["last_modified"])
            count += len(batch)
            if count > MOST_OBJECTS:
                return

    def _named(self, store: ObjectStore) -> StoredObject:
        key = self._place.key
        if not key or key.endswith("/"):
            raise NotStored(f"Nothing is stored below {self._uri}. Correct parameters.uri, or store the model there")
        meta = store.head(key)
        name = key.rsplit("/", 1)[-1]
        return StoredObject(meta["path"], name, meta["size"], meta["e_tag"], meta["last_modified"])
