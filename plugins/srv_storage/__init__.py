"""Storage: fetches artifacts that `parameters.uri` names as `file://`, `http://` or `https://`."""

from __future__ import annotations

from srv.hookspecs import hookimpl
from srv.storage import Fetch
from srv.uris import scheme_of


@hookimpl
def srv_storage(uri: str) -> Fetch | None:
    """Return how to fetch a URI of one of the three schemes."""
    # Imported here, because most models have their artifacts beside their settings.
    match scheme_of(uri):
        case "file":
            from srv_storage.local_files import FileFetch

            return FileFetch(uri)
        case "http" | "https":
            from srv_storage.http import HttpFetch

            return HttpFetch(uri)
    return None
