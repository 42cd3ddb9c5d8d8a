"""A lock as pip reads it: each package with its version, its hashes and where it is for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

#: The index that pip asks where nothing else is said, under its name and its former one.
PUBLIC = re.compile(r"https://pypi\.(?:python\.)?org/simple/?")

#: How git writes an address of ssh, and pip does not.
_SHORT = re.compile(r"(?P<host>[\w.-]+@[\w.-]+):(?!//)(?P<path>.+)")


@dataclass(frozen=True)
class Locked:
    """One package of a lock."""

    name: str
    #: None for one that is told by `source` alone.
    version: str | None = None
    #: What pip gets in place of a version: an address, or a path that begins with `./`.
    source: str | None = None
    marker: str = ""
    hashes: tuple[str, ...] = ()

    def lines(self, *, with_hashes: bool) -> str:
        """Return the requirement for a requirements file."""
        marker = f" ; {self.marker}" if self.marker else ""
        hashes = sorted(self.hashes) if with_hashes else ()
        return " \\\n    ".join([self.requirement() + marker, *(f"--hash={each}" for each in hashes)])

    def requirement(self) -> str:
        """Return the requirement without its marker."""
        if self.source is None:
            return f"{self.name}=={self.version}" if self.version else self.name
        return self.source if self.source.startswith("./") else f"{self.name} @ {self.source}"


@dataclass
class Lock:
    """What a file pins for production."""

    packages: list[Locked] = field(default_factory=list)
    #: Requirements that pin nothing, as a file without a lock has them.
    lines: list[str] = field(default_factory=list)
    #: Where packages come from, without the public index.
    indexes: list[str] = field(default_factory=list)
    #: Whether some of them come from the public index, or from one that nobody names.
    is_public: bool = False
    #: Folders with files of packages, which begin with `./`.
    find_links: list[str] = field(default_factory=list)
    #: Which Pythons it is for, as `requires-python` says it.
    requires_python: str = ""
    #: What is to be told.
    notes: list[str] = field(default_factory=list)

    def comes_from(self, index: str) -> None:
        """Take note of the index that a package comes from."""
        if PUBLIC.fullmatch(index):
            self.is_public = True
        elif index not in self.indexes:
            self.indexes.append(index)

    def text(self, head: str) -> str:
        """Return the requirements file: with the hashes, if the lock has any, without what has none then."""
        hashed = self.is_hashed()
        options = [f"--find-links {folder}" for folder in self.find_links]
        first = [] if self.is_public else [f"--index-url {index}" for index in self.indexes[:1]]
        options += [*first, *(f"--extra-index-url {index}" for index in self.indexes[len(first) :])]
        kept = [each for each in self.packages if each.hashes or not hashed]
        return "\n".join([f"# {head}", *options, *self.lines, *(each.lines(with_hashes=hashed) for each in kept), ""])

    def rest(self) -> list[str]:
        """Return the requirements that have no hash where others have: pip takes them in a run of their own."""
        kept = [each for each in self.packages if self.is_hashed() and not each.hashes]
        return [each.lines(with_hashes=False) for each in kept]

    def is_hashed(self) -> bool:
        """Whether pip is told by hashes what it may take."""
        return any(each.hashes for each in self.packages)


def in_order(packages: Iterable[Locked]) -> list[Locked]:
    """Return packages in the order of their names, so that the same lock gives the same text."""
    return sorted(packages, key=lambda each: (each.name, each.version or "", each.source or ""))


def relative(path: str) -> str:
    """Return a path of a lock as pip reads it: with `./` before it, which tells it from a name."""
    return path if path.startswith(("./", "../", "/")) else f"./{path}"


def git_source(url: str, revision: str, subdirectory: Any = None) -> str:
    """Return the address of a revision of a repository, as pip reads it."""
    if (short := _SHORT.fullmatch(url)) is not None:
        url = f"ssh://{short['host']}/{short['path']}"
    address = url if url.startswith("git+") else f"git+{url}"
    return f"{address}@{revision}" + (f"#subdirectory={subdirectory}" if subdirectory else "")
