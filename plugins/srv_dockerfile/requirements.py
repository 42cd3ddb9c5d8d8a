"""Requirements files, read line by line: the distributions that they name, and the files that pip must find."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit
from urllib.request import url2pathname

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from srv.discovery.metadata import distribution_called
from srv.errors import quoted
from srv_dockerfile.errors import BadRequirements
from srv_dockerfile.markers import image_environment

_OPTION = re.compile(r"(-[a-zA-Z]|--[a-z-]+)(?:\s*=\s*|\s+|(?<=-[a-zA-Z]))(?P<value>.+)")
#: The options that name a file or folder beside the file; the first two, another requirements file.
_REQUIREMENTS = ("-r", "--requirement")
_FILES = (*_REQUIREMENTS, "-c", "--constraint", "-f", "--find-links")
_EDITABLE = ("-e", "--editable")
#: Debian's packages for what pip fetches revisions with.
_TOOLS = {"git": "git", "hg": "mercurial", "svn": "subversion", "bzr": "brz"}
_WHEEL = re.compile(r"([^-/]+)-[^-/]+-[^/]*\.whl$")
_EGG = re.compile(r"[#&]egg=([A-Za-z0-9._-]+)")
#: What a Dockerfile's COPY takes as it stands, also among quotes.
_COPIED = re.compile(r"[\w./ @+~,=-]+")


@dataclass
class Named:
    """What requirements files say."""

    #: The distributions that they name, normalised.
    distributions: set[str] = field(default_factory=set)
    #: Files and folders beside them that pip reads, relative to the folder.
    needs: list[str] = field(default_factory=list)
    #: Whether pip is told what it may take by hashes, so that it takes nothing else in the same run.
    hashed: bool = False
    #: The values that markers are judged by. A line whose marker does not hold in the image names nothing.
    environment: Mapping[str, str] = field(default_factory=image_environment)
    #: The extras of distributions that they name.
    extras: dict[str, set[str]] = field(default_factory=dict)
    #: Debian packages that pip needs to fetch what they name.
    tools: set[str] = field(default_factory=set)
    #: Sentences for the person who makes the image.
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, extras: Iterable[str] = ()) -> None:
        """Add a distribution."""
        self.distributions.add(canonicalize_name(name))
        self.extras.setdefault(canonicalize_name(name), set()).update(extras)


def read_requirements(folder: Path, name: str, named: Named) -> None:
    """Add what a requirements file of the folder, and the files that it includes, say. Raises BadRequirements."""
    text = (folder / name).read_text(encoding="utf-8-sig", errors="replace")
    read_lines(folder, text.splitlines(), name, named)


def read_lines(folder: Path, lines: Iterable[str], place: str, named: Named) -> None:
    """Add what lines say that stand in `place`, a file at whose folder their paths begin."""
    for line in _logical(lines):
        option = _OPTION.match(line)
        if option is not None and option[1] in _EDITABLE:
            raise BadRequirements(
                place, line, "an image has nothing to edit. Leave -e out, or the line where srv serves that code itself"
            )
        if option is not None and option["value"].strip("'\"").startswith("file:"):
            raise _elsewhere(folder, place, line, option["value"].strip("'\""))
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
    named.hashed = named.hashed or " --hash" in line  # which counts for pip where the marker does not hold, too
    said = re.split(r"\s--", line)[0].strip()
    try:
        requirement = Requirement(said)
    except InvalidRequirement:
        _read_place(folder, place, line, said, named)
        return
    if not _holds(requirement.marker, named):
        return
    named.add(requirement.name, requirement.extras)
    if requirement.url is not None:
        _read_url(folder, place, line, requirement.url, named, name=requirement.name)


def _read_place(folder: Path, place: str, line: str, said: str, named: Named) -> None:
    """Add what a line brings that is a URL or a path without a name in front of it."""
    where, marker = _without_marker(said)
    if not _holds(marker, named):
        return
    if "://" in where or where.startswith(("file:", *(f"{tool}+" for tool in _TOOLS))):
        _read_url(folder, place, line, where, named)
        return
    name = _beside(folder, place, line, where.partition("[")[0].strip())
    if name == ".":
        raise BadRequirements(
            place, line, "the image has this folder already. Take the line out, or name what an index has"
        )
    if name is not None and name not in named.needs:
        named.needs.append(name)
        if (wheel := _WHEEL.match(PurePosixPath(name).name)) is not None:
            named.add(wheel[1])


def _read_url(folder: Path, place: str, line: str, url: str, named: Named, *, name: str | None = None) -> None:
    """Add what a URL brings, and what pip needs to fetch it."""
    tool, plus, rest = url.partition("+")
    if tool in _TOOLS and plus:
        named.tools |= {_TOOLS[tool], "ca-certificates"}
    if rest.startswith("file:") or url.startswith("file:"):
        raise _elsewhere(folder, place, line, url, name)
    if rest.startswith(("ssh:", "git@")):
        named.tools.add("openssh-client")
        named.notes.append(
            f"{place} has the line {quoted(line)}, for which git needs a key, and a build has none of yours. Where it is "
            "to be built elsewhere too, name the repository by https, or put a wheel of it into the folder."
        )
    found = _EGG.search(url) or _WHEEL.search(urlsplit(url).path)
    if name is None and found is not None:
        named.add(found[1])


def _holds(marker: Marker | None, named: Named) -> bool:
    return marker is None or marker.evaluate(dict(named.environment))


def _without_marker(said: str) -> tuple[str, Marker | None]:
    """Return a URL or path, and the marker behind it, before which pip wants a blank where it is a URL."""
    where, semicolon, text = said.partition(" ;" if "://" in said else ";")
    try:
        return where.strip(), Marker(text) if semicolon else None
    except InvalidMarker:
        return said, None


def _elsewhere(folder: Path, place: str, line: str, url: str, name: str | None = None) -> BadRequirements:
    """Return the error for a URL of this machine's own files, with what can be written in its place."""
    path = Path(url2pathname(urlsplit(url.partition("+")[2] if "+file:" in url else url).path))
    if path.exists() and path.resolve().is_relative_to(folder.resolve()):
        advice = f"Write ./{path.resolve().relative_to(folder.resolve()).as_posix()} instead"
    elif path.suffix == ".whl" and path.exists():
        advice = f"Copy the wheel into the folder, and write ./{path.name} instead"
    elif path.exists():
        advice = "Put a wheel of it into the folder, made with `pip wheel --no-deps`, and write ./ and its name instead"
    else:
        installed = distribution_called(canonicalize_name(name)) if name is not None else None
        version = installed.version if installed is not None else "VERSION"
        advice = f"Write {name or 'NAME'}=={version} instead, as an index has it"
    return BadRequirements(place, line, f"a build does not see this machine's files. {advice}")


def _beside(folder: Path, place: str, line: str, value: str) -> str | None:
    """Return a path of a requirements file relative to the folder; None if it does not exist, which pip will report."""
    path = folder / PurePosixPath(place).parent / value
    if not path.exists():
        return None
    if not path.resolve().is_relative_to(folder.resolve()):
        raise BadRequirements(place, line, "it lies outside of the folder, so no builder would see it. Move it in")
    name = path.resolve().relative_to(folder.resolve()).as_posix()
    if value.startswith("/"):
        raise BadRequirements(place, line, f"a build has the folder at another place. Write ./{name} instead")
    if _COPIED.fullmatch(name) is None:
        raise BadRequirements(place, line, "a Dockerfile cannot name such a file everywhere. Give it a plainer name")
    return name


def _logical(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines as pip reads them: continued ones joined, comments and empty ones left out."""
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
