"""Notes on folders in the folder of a model that are served as parts of it only."""

from __future__ import annotations

from srv.errors import listed
from srv.repository.scan import ModelFolder


def as_part(place: ModelFolder) -> str:
    """Return the note on a folder whose name is no version's."""
    return (
        f"{place.shown} is a part of the model around it and no version, for its name does not begin with a number. "
        f"To serve {place.files[0]} as a version, give it a model-settings.json."
    )


def as_unknown_part(place: ModelFolder) -> str:
    """Return the note on a folder that no installed runtime can serve by itself."""
    return (
        f"{place.shown} is a part of the model around it, for no installed runtime can serve its {listed(place.files)} by "
        "itself. To serve it all the same, give it a model-settings.json."
    )
