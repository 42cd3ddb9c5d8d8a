"""What requirements files name, read line by line: which distributions, and which further files pip must find."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from srv_dockerfile.errors import BadRequirements

_OPTION = re.compile(r"(-[a-zA-Z]|--[a-z-]+)(?:\s*=\s*|\s+|(?<=-[a-zA-Z]))(?P<value>.+)")
#: The options that name a file or folder beside the file; the first two, another requirements file.
_REQUIREMENTS = ("-r", "--requirement")
_FILES = (*_REQUIREMENTS, "-c", "--constraint", "-f", "--find-links")
_EDITABLE = ("-e", "--editable")
#: What a Dockerfile's COPY takes as it stands, also among quotes.
_COPIED = re.compile(r"[\w./ @+~,=-]+")


@dataclass
class Named:
    """What the files say."""

    #: The distributions that they name, normalised.
    distributions: set[str] = field(default_factory=set)
    #: Files and folders beside them that pip reads, relative to the folder.
    needs: list[str] = field(default_factory=list)
    #: Whether pip is told what it may take by hashes, so that it takes nothing else in the same run.
    hashed: bool = False


def read_requirements(folder: Path, name: str, named: Named) -> None:
    """Add what a requirements file of the folder says, and those that it includes. Raises BadRequirements."""
    text = (folder / name).read_text(encoding="utf-8-sig", errors="replace")
    read_lines(folder, text.splitlines(), name, named)


def read_lines(folder: Path, lines: Iterable[str], place: str, named: Named) -> None:
    """The same for lines that stand in `place`, a file whose folder their paths begin at."""
    for line in _logical(lines):
        option = _OPTION.match(line)
        if option is not None and option[1] in _EDITABLE:
            raise BadRequirements(
                place, line, "an image has nothing to edit. Leave -e out, or the line where srv serves that code itself"
            )
        if option is not None and option[1] in _FILES:
            _include(folder, place, line, option["value"].strip("'\""), named, is_read=option[1] in _REQUIREMENTS)
        elif not line.startswith("-"):
            _read_requirement(folder, place, line, named)


def _include(folder: Path, place: str, line: str, value: str, named: Named, *, is_read: bool) -> None:
    if "://" in value:
        return
    name = _beside(folder, place, line, value)
    if name is None or name in named.needs:
        return
    named.needs.append(name)
    if is_read and (folder / name).is_file():
        read_requirements(folder, name, named)


def _read_requirement(folder: Path, place: str, line: str, named: Named) -> None:
    named.hashed = named.hashed or " --hash" in line
    said = re.split(r"\s--", line)[0].strip()
    try:
        named.distributions.add(canonicalize_name(Requirement(said).name))
    except InvalidRequirement:
        path = said.split(";")[0].partition("[")[0].strip()
        name = None if "://" in path else _beside(folder, place, line, path)
        if name == ".":
            raise BadRequirements(
                place, line, "the image has this folder already. Take the line out, or name what an index has"
            ) from None
        if name is not None and name not in named.needs:
            named.needs.append(name)
            wheel = re.match(r"([^-]+)-[^-]+-.*\.whl$", PurePosixPath(name).name)
            named.distributions |= {canonicalize_name(wheel[1])} if wheel else set()


def _beside(folder: Path, place: str, line: str, value: str) -> str | None:
    """A path in a requirements file, relative to the folder; None for what is not there, which pip will say."""
    path = folder / PurePosixPath(place).parent / value
    if not path.exists():
        return None
    if not path.resolve().is_relative_to(folder.resolve()):
        raise BadRequirements(place, line, "it lies outside of the folder, so no builder would see it. Move it in")
    name = path.resolve().relative_to(folder.resolve()).as_posix()
    if _COPIED.fullmatch(name) is None:
        raise BadRequirements(place, line, "a Dockerfile cannot name such a file everywhere. Give it a plainer name")
    return name


def _logical(lines: Iterable[str]) -> Iterator[str]:
    """Lines as pip reads them: continued ones joined, comments and empty ones left out."""
    begun = ""
    for line in lines:
        text = begun + line
        if text.endswith("\\") and not line.lstrip().startswith("#"):
            begun = text[:-1]
            continue
        begun = ""
        text = re.sub(r"(^|\s)#.*$", "", text).strip()
        if text:
            yield text
    if begun.strip():
        yield begun.strip()
