"""Sections of plugins in the server's settings: which may be there, and what is said of old names and missing plugins."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from srv.settings.documents import Document
from srv.settings.errors import ContradictorySettings
from srv.settings.given import GivenSettings


def optional_plugins(document: Document | None, environ: Mapping[str, str]) -> frozenset[str]:
    """Return the entries of plugins.optional, from file or environment; none if the setting is wrong."""
    given = [document.values.get("plugins") if document is not None else None, _json(environ.get("SRV_PLUGINS"))]
    lists = [each.get("optional") for each in given if isinstance(each, Mapping)]
    lists.append(_json(environ.get("SRV_PLUGINS__OPTIONAL")))
    return frozenset(word for words in lists if isinstance(words, list) for word in words if isinstance(word, str))


def _json(text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return None


def rename_sections(given: GivenSettings, names: Mapping[str, str]) -> None:
    """Give sections under old names of plugins the new names, with a note for each.

    Raises ContradictorySettings where a section is there under both names.
    """
    origins = given.origins_by_key()
    renamed = {old: new for old, new in names.items() if old != new and old in given.sections()}
    for old, new in renamed.items():
        if new in given.sections():
            raise ContradictorySettings(
                f"The settings have the sections '{old}' and '{new}', and '{old}' is the plugin's old name. Keep '{new}'."
            )
        place = next(origin for key, origin in origins.items() if key == old or key.startswith(f"{old}."))
        given.notes.append(f"{place}: the plugin '{old}' is now called '{new}'. Rename its section.")
    given.rename(renamed)


def notes_on_missing(sections: Collection[str]) -> list[str]:
    """Return a sentence for each section whose plugin is not installed and need not be."""
    return [
        f"The settings have a section '{section}', and no installed plugin is called so. The server runs without it, "
        "because plugins.optional names it."
        for section in sorted(sections)
    ]
