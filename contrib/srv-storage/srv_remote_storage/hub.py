"""The Hugging Face Hub: the files of a model's repository, at one commit."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, unquote

from obstore.store import HTTPStore

from srv.storage import Download, Fetch, FetchFailed, NoAccess, NotStored, Unreachable
from srv.uris import shown_uri
from srv_remote_storage.downloads import download_objects
from srv_remote_storage.failures import CREDENTIALS, told
from srv_remote_storage.objects import StoredObject, as_files
from srv_remote_storage.stores import RETRIES, client_options

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

_URI = re.compile(
    r"hf://(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^/]+))?(?:/(?P<path>.*))?", re.IGNORECASE | re.ASCII
)
_OTHER_KINDS = ("datasets/", "spaces/", "buckets/")


class Place(NamedTuple):
    """A repository on the hub, what of it, and at which branch, tag or commit; None for the main branch."""

    repository: str
    revision: str | None
    path: str


def place_of(uri: str) -> Place:
    """Return what a URI names. Raises FetchFailed where that is no repository of a model."""
    found = _URI.fullmatch(uri)
    if found is None or found["repository"].startswith(_OTHER_KINDS):
        raise FetchFailed(
            f"{shown_uri(uri)} names no model of the Hugging Face Hub: write hf://ORGANISATION/NAME, and behind it "
            "@REVISION and /FILE-OR-FOLDER where you want less than all"
        )
    revision = found["revision"]
    return Place(found["repository"], None if revision is None else unquote(revision), (found["path"] or "").strip("/"))


class HubFetch(Fetch):
    """The files of a repository, or of a folder in it, or one file of it."""

    def __init__(self, uri: str) -> None:
        self._place = place_of(uri)
        self._uri = shown_uri(uri)
        self._commit = ""
        self._objects: list[StoredObject] = []
        self._is_file = False

    def etag(self) -> str | None:
        """Return the commit that the revision means now: one request."""
        info = self._info()
        files = {each.rfilename: each for each in info.siblings or []}
        path = self._place.path
        self._is_file = path in files
        start = f"{path}/" if path and not self._is_file else ""
        chosen = [files[path]] if self._is_file else [each for name, each in files.items() if name.startswith(start)]
        if not chosen:
            raise NotStored(f"Nothing is stored at {self._uri}. Correct parameters.uri")
        cut = path.rfind("/") + 1 if self._is_file else len(start)
        self._objects = as_files([_stored(each, cut) for each in chosen], self._uri)
        self._commit = str(info.sha)
        return self._commit

    def download(self, folder: Path, download: Download) -> Path:
        """Download the files of the commit that `etag` has told."""
        from huggingface_hub import get_token  # here, because it is an extra

        if not self._commit:
            self.etag()
        token = get_token()
        headers = {"authorization": f"Bearer {token}"} if token else {}
        endpoint = _endpoint()
        store = HTTPStore(
            f"{endpoint}/{self._place.repository}/resolve/{quote(self._commit)}",
            client_options={**client_options(allow_http=endpoint.startswith("http://")), "default_headers": headers},
            retry_config=RETRIES,
        )
        with told(self._uri, "hf"):
            download_objects(store, self._objects, folder, download, self._uri)
        return folder / self._objects[0].name if self._is_file else folder

    def _info(self) -> ModelInfo:
        """Ask the hub what the repository holds; its errors hold request headers, so that none is passed on."""
        try:
            from huggingface_hub import HfApi
            from huggingface_hub.errors import HfHubHTTPError
        except ImportError:
            raise FetchFailed(f"{self._uri} needs huggingface_hub: run `pip install srv-storage[hf]`") from None
        place = self._place
        try:
            return HfApi(_endpoint()).model_info(
                place.repository, revision=place.revision, files_metadata=True, timeout=30
            )
        except HfHubHTTPError as error:
            raise self._refused(error.response.status_code) from None
        except Exception as error:  # noqa: BLE001 - the classes of its HTTP library differ between releases
            raise Unreachable(
                f"The Hugging Face Hub cannot be asked for {self._uri} ({type(error).__name__})"
            ) from None

    def _refused(self, status: int) -> FetchFailed:
        if status in (401, 403):  # 401 for what does not exist, too
            return NoAccess(
                f"The Hugging Face Hub has no {self._uri}, or refuses access to it (HTTP {status}). Check the name, and "
                f"set {CREDENTIALS['hf']} where the repository is private or gated"
            )
        if status == 404:
            return NotStored(f"Nothing is stored at {self._uri}. Correct parameters.uri")
        return Unreachable(f"The Hugging Face Hub is not able to answer for {self._uri} (HTTP {status})")


def _endpoint() -> str:
    from huggingface_hub.constants import ENDPOINT  # here, because it is an extra

    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or ENDPOINT


def _stored(file: RepoSibling, cut: int) -> StoredObject:
    large = file.lfs
    size = large.size if large else file.size
    return StoredObject(file.rfilename, file.rfilename[cut:], size or 0, sha256=large.sha256 if large else None)
