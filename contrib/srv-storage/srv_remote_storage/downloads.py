"""Downloads of many objects at once, large ones in parts, with a few megabytes of memory for each."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from obstore.store import ObjectStore

from srv.storage import ContentChanged, Download, FetchFailed
from srv_remote_storage.objects import StoredObject

if TYPE_CHECKING:
    from obstore import GetOptions

#: How many requests run at once.
PARALLEL = 8
#: Bytes of a part: a larger object is fetched by several requests at once.
PART = 64 * 1024 * 1024
#: Bytes that are written at once.
_CHUNK = 1024 * 1024


class _Part(NamedTuple):
    stored: StoredObject
    start: int
    end: int


def download_objects(
    store: ObjectStore, objects: Sequence[StoredObject], folder: Path, download: Download, uri: str
) -> None:
    """Write all objects into a folder. Raises what `download` raises, within a second also where the storage is silent."""
    download.expect(sum(each.size for each in objects))
    for each in objects:
        file = folder / each.name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    given_up = threading.Event()
    executor = ThreadPoolExecutor(PARALLEL, thread_name_prefix="srv-storage")
    try:
        running = {
            executor.submit(_fetch, store, part, folder / each.name, download, given_up)
            for each in objects
            for part in _parts(each)
        }
        while running:
            done, running = wait(running, timeout=1, return_when=FIRST_EXCEPTION)
            for finished in done:
                finished.result()
            download.add(0)
    finally:
        given_up.set()
        executor.shutdown(wait=False, cancel_futures=True)  # a silent storage is not waited for
    for each in objects:
        if each.sha256:
            _check(folder / each.name, each.sha256, uri)


def _parts(stored: StoredObject) -> Iterator[_Part]:
    for start in range(0, stored.size, PART):
        yield _Part(stored, start, min(start + PART, stored.size))


def _fetch(store: ObjectStore, part: _Part, file: Path, download: Download, given_up: threading.Event) -> None:
    """Write one part to its place in the file. Raises ContentChanged where the object is not the one that was listed."""
    stored, written = part.stored, part.start
    result = store.get(stored.path, options=_options(part))
    if result.meta["size"] != stored.size or _differ(stored.etag, result.meta["e_tag"]):
        raise ContentChanged(f"'{stored.name}' changed while it was downloaded")
    with file.open("r+b") as target:
        target.seek(part.start)
        for chunk in result.stream(min_chunk_size=_CHUNK):
            if given_up.is_set():
                return
            written += target.write(chunk)
            download.add(len(chunk))
    if written != part.end:
        raise FetchFailed(
            f"The storage sent {written - part.start} bytes of '{stored.name}' instead of {part.end - part.start}"
        )


def _options(part: _Part) -> GetOptions:
    options: GetOptions = {}
    if part.stored.etag:
        options["if_match"] = f'"{_bare(part.stored.etag)}"'  # because lists of some storages leave the quotes out
    if (part.start, part.end) != (0, part.stored.size):
        options["range"] = (part.start, part.end)
    return options


def _differ(listed: str | None, got: str | None) -> bool:
    """Whether both ETags are known and are not the same; some storages pass over If-Match."""
    return bool(listed and got) and _bare(listed or "") != _bare(got or "")


def _bare(etag: str) -> str:
    return etag.strip('"')


def _check(file: Path, sha256: str, uri: str) -> None:
    with file.open("rb") as source:
        found = hashlib.file_digest(source, "sha256").hexdigest()
    if found != sha256:
        raise FetchFailed(
            f"'{file.name}' of {uri} came with the SHA-256 {found}, not {sha256}, which the storage tells"
        )
