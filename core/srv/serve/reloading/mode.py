"""Settings under `--reload`."""

from __future__ import annotations

import sys

from msgspec.structs import replace

from srv.settings import ServerSettings


def for_authors(settings: ServerSettings) -> ServerSettings:
    """Return the settings for development: one worker, and broken models do not end the server.

    This process and its workers write no bytecode from now on, because Python believes a cached file for as long as
    the source has the same size and was written in the same second.
    """
    sys.dont_write_bytecode = True
    notes = list(settings.notes)
    if settings.workers != 1:
        notes.append(f"With --reload one worker serves, not {settings.workers} ({settings.origin('workers')}).")
    on_load_error = settings.on_load_error if settings.origin("on_load_error") != "default" else "continue"
    return replace(settings, workers=1, on_load_error=on_load_error, notes=tuple(notes))
