"""What a person asks for: a requirement, a path or a URL, as installers take them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from srv.discovery.plugin import normalised
from srv_install.errors import LibraryMeant, NoRequirement

#: Libraries by which people call the plugin for them.
LIBRARIES: Mapping[str, str] = MappingProxyType({"sklearn": "srv-sklearn", "scikit-learn": "srv-sklearn"})
_ARCHIVES = (".whl", ".tar.gz", ".zip", ".tar.bz2")


class Wanted(NamedTuple):
    """One NAME of the command line, and the distribution that it means, normalised; empty where only its files say."""

    word: str
    name: str = ""


def wanted(word: str) -> Wanted:
    """Read a NAME. Raises NoRequirement, and LibraryMeant for a library whose plugin is called otherwise."""
    if _is_path(word) or (_is_address(word) and "@ " not in word and " @" not in word):
        return Wanted(word, _of_wheel(word))
    try:
        requirement = Requirement(word)
    except InvalidRequirement:
        raise NoRequirement(word) from None
    name = normalised(requirement.name)
    if name in LIBRARIES and requirement.url is None:
        raise LibraryMeant(requirement.name, LIBRARIES[name])
    return Wanted(word, name)


def _is_path(word: str) -> bool:
    if _is_address(word):
        return False
    return word.startswith((".", "~", os.sep)) or (
        " @ " not in word and (os.sep in word or word.split("[")[0].endswith(_ARCHIVES))
    )


def _is_address(word: str) -> bool:
    return "://" in word


def _of_wheel(word: str) -> str:
    """Return the distribution of a path or URL of a wheel."""
    try:
        return normalised(parse_wheel_filename(Path(word.partition("#")[0].partition("[")[0]).name)[0])
    except InvalidWheelFilename:
        return ""
