"""The folder's settings.json where it is mounted over the image's."""

from __future__ import annotations

from pathlib import Path

from srv.settings.documents import read_document
from srv.settings.reading import FILE
from srv.settings.schemas import ServerSchema
from srv_deploy.errors import NoSettingsFile, SectionInConfigMap

#: Sections of plugins of ours that hold no secret.
_OPEN = frozenset({"cache", "event_log", "by_path"})


def check_settings_file(folder: Path, *, copied: bool) -> None:
    """Raise NoSettingsFile where there is none, and SectionInConfigMap where it is copied and may hold a secret."""
    document = read_document(folder / FILE)
    if document is None:
        raise NoSettingsFile(folder / FILE)
    for section in document.values:
        if copied and section not in ServerSchema().fields and section not in _OPEN:
            raise SectionInConfigMap(folder / FILE, section)
