"""The rules of .dockerignore: which names of a folder do not travel."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

FILE = ".dockerignore"

#: What no image needs; written by `srv dockerfile -i`, and in force for `srv build` where there is no such file.
LINES = (
    "# What does not belong in an image. Lines that begin with ! bring something back.",
    ".dockerignore",
    "Dockerfile",
    ".git",
    ".env",
    ".venv",
    "venv",
    "**/__pycache__",
    "**/*.pyc",
    "**/.ipynb_checkpoints",
    "**/.mypy_cache",
    "**/.pytest_cache",
    "**/.ruff_cache",
    "**/.DS_Store",
)


def lines_of(folder: Path) -> list[str]:
    """The lines of the folder's own .dockerignore, or srv's where it has none."""
    try:
        return (folder / FILE).read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()
    except (FileNotFoundError, IsADirectoryError):
        return list(LINES)


class Ignore:
    """Tells of each name, relative to the folder and with `/`, whether it stays behind; the last line to match counts.

    As Docker has it: patterns begin at the folder, `**` stands for any number of folders, and a pattern that matches
    a folder means all that is in it.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self._patterns = list(_patterns(lines))
        self._brings_back = any(back for _, back in self._patterns)

    def leaves_out(self, name: str) -> bool:
        """Whether what is called so stays behind."""
        parts = name.split("/")
        names = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        out = False
        for pattern, back in self._patterns:
            if out is back and any(map(pattern.fullmatch, names)):
                out = not back
        return out

    def leaves_out_all_of(self, name: str) -> bool:
        """Whether nothing in a folder can travel, so that nobody need look into it."""
        return not self._brings_back and self.leaves_out(name)


def _patterns(lines: Iterable[str]) -> Iterator[tuple[re.Pattern[str], bool]]:
    for line in lines:
        text = line.strip()
        if not text or line.startswith("#"):
            continue
        back = text.startswith("!")
        text = posixpath.normpath(text.removeprefix("!").strip()).lstrip("/")
        if text and text != ".":
            yield re.compile(_expression(text), re.DOTALL), back


def _expression(pattern: str) -> str:
    """A pattern as a regular expression; what is no valid one means its own characters."""
    found, place = "", 0
    while place < len(pattern):
        rest = pattern[place:]
        if rest.startswith("**/"):
            found, place = found + "(?:.*/)?", place + 3
        elif rest.startswith("**"):
            found, place = found + ".*", place + 2
        elif rest[0] in "*?":
            found, place = found + ("[^/]*" if rest[0] == "*" else "[^/]"), place + 1
        elif rest[0] == "\\" and len(rest) > 1:
            found, place = found + re.escape(rest[1]), place + 2
        elif (group := re.match(r"\[(\^?)((?:\\.|[^\]\\])+)\]", rest)) is not None:
            within = group[2].replace("[", r"\[").replace("&", r"\&").replace("~", r"\~").replace("|", r"\|")
            found, place = found + f"(?!/)[{group[1]}{within}]", place + group.end()
        else:
            found, place = found + re.escape(rest[0]), place + 1
    return found
