"""Storage: fetches artifacts that `parameters.uri` names as `file://`, `http://` or `https://`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from srv.hookspecs import hookimpl
from srv.storage import Fetch
from srv.uris import scheme_of

if TYPE_CHECKING:
    from marshmallow import Schema


@hookimpl
def srv_settings_schema() -> type[Schema]:
    """Declare headers for web servers."""
    from srv_storage.settings import StorageSettings  # as below

    return StorageSettings


@hookimpl
def srv_storage(uri: str, settings: Mapping[str, Any]) -> Fetch | None:
    """Return how to fetch a URI of one of the three schemes."""
    # Imported here, because most models have their artifacts beside their settings.
    match scheme_of(uri):
        case "file":
            from srv_storage.local_files import FileFetch

            return FileFetch(uri)
        case "http" | "https":
            from srv_storage.http import HttpFetch
            from srv_storage.settings import headers_for

            return HttpFetch(uri, headers_for(uri, settings))
    return None
