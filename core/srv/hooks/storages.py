"""Storages of plugins: which plugin fetches a URI, and sentences for errors of plugins that say nothing to a person."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from srv.discovery import Plugins
from srv.discovery.plugin import OURS, Plugin, normalised
from srv.errors import SrvError, said_by
from srv.hooks.errors import (
    OWN_SCHEMES,
    STORAGE_PACKAGES,
    STORAGE_PLUGINS,
    NoStorage,
    StorageContested,
    StorageUnused,
)
from srv.hooks.registration import Registration
from srv.storage import DISK_FULL, Download, Fetch, FetchFailed
from srv.uris import scheme_of, shown_uri, without_secrets

#: Characters of an error that no person wrote.
_LONGEST = 300


class PluginsFetch(Fetch):
    """What a plugin answered for a URI. Whatever it raises comes out as a FetchFailed, without the secrets of the URI."""

    def __init__(self, uri: str, plugin: Plugin, fetch: Fetch) -> None:
        self.plugin = plugin
        self._uri = uri
        self._fetch = fetch

    def local(self) -> Path | None:
        """Return the plugin's own answer."""
        with _told("local", self._uri, self.plugin):
            return self._fetch.local()

    def etag(self) -> str | None:
        """Return the plugin's own answer."""
        with _told("etag", self._uri, self.plugin):
            return self._fetch.etag()

    def download(self, folder: Path, download: Download) -> Path:
        """Download with the plugin's own code."""
        with _told("download", self._uri, self.plugin):
            return self._fetch.download(folder, download)


def fetch_of(uri: str, registration: Registration, plugins: Plugins) -> PluginsFetch:
    """Return what fetches a URI. Raises NoStorage, StorageUnused, StorageContested, or what a plugin raised, as a FetchFailed."""
    scheme = scheme_of(uri) or ""
    answers: list[PluginsFetch] = []
    for implementation in registration.implementations("srv_storage"):
        plugin = implementation.plugin
        with _told("srv_storage", uri, plugin):
            answer: Any = implementation(uri=uri, settings=registration.settings_of(plugin))
        if answer is None:
            continue
        if not isinstance(answer, Fetch):
            raise FetchFailed(
                f"The {plugin} answered srv_storage with a {type(answer).__name__}, not with a srv.storage.Fetch"
            )
        answers.append(PluginsFetch(uri, plugin, answer))
    if not answers:
        unused = _unused(scheme, plugins)
        raise NoStorage(scheme, shown_uri(uri)) if unused is None else StorageUnused(scheme, shown_uri(uri), unused)
    return _chosen(scheme, answers, plugins.choice.prefer.get(f"storage:{scheme}"))


def _unused(scheme: str, plugins: Plugins) -> Plugin | None:
    """Return the installed plugin that would fetch a scheme and may not, if srv knows of one."""
    distribution = OURS if scheme in OWN_SCHEMES else STORAGE_PACKAGES.get(scheme, "").strip("'").partition("[")[0]
    meant = (distribution, STORAGE_PLUGINS.get(distribution))
    rows = (row for row in plugins.rows if not row.usable)
    return next((row for row in rows if (normalised(row.distribution), row.name) == meant), None)


def _chosen(scheme: str, answers: list[PluginsFetch], preferred: str | None) -> PluginsFetch:
    """Return srv's own answer, else the preferred one, else the only one."""
    for each in answers:
        if each.plugin.ours or (
            preferred is not None and normalised(each.plugin.distribution) == normalised(preferred)
        ):
            return each
    if len(answers) > 1:
        raise StorageContested(scheme, [each.plugin.distribution for each in answers])
    return answers[0]


@contextmanager
def _told(where: str, uri: str, plugin: Plugin) -> Iterator[None]:
    """Raise a plugin's errors without the secrets of the URI, those without a sentence of their own as FetchFailed."""
    try:
        yield
    except SrvError as error:
        error.args = (without_secrets(str(error), uri),)
        raise error if isinstance(error, FetchFailed) else FetchFailed(str(error)) from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            raise  # whoever asked for the download knows which disk is full
        # Whatever a plugin raises: its text may hold the URI.
        said = without_secrets(f"{type(error).__name__}: {said_by(error)}".rstrip(": "), uri)
        raise FetchFailed(f"The {plugin} raised in {where} for {shown_uri(uri)}: {said[:_LONGEST]}") from None
