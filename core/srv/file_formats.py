"""Formats of model files: what settings say of a file is held against what the file tells by itself."""

from __future__ import annotations

from pathlib import Path

from srv.errors import SrvError, listed, quoted


class UnfitFormat(SrvError):
    """The settings name another format than the file has."""

    def __init__(self, file: Path, said: str, found: tuple[str, ...]) -> None:
        is_what = f"'{file.name}' is {listed(found)}" if found else f"'{file.name}' has the one format that is served"
        super().__init__(
            f"parameters.format says {quoted(said)}, and {is_what}. Leave it out: the file tells its format."
        )


def check_format(file: Path, said: str | None, *found: str) -> None:
    """Raise UnfitFormat where the settings' `parameters.format` is none of the names of the format that was found in a file.

    For runtimes whose files tell their format, so that the settings have nothing to choose.
    """
    if said is not None and said not in found:
        raise UnfitFormat(file, said, found)
