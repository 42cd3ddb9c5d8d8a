"""Version order: 10 over 9, v10 over v9, 2.0 over 1.9."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeAlias

Part: TypeAlias = tuple[int, int, str]
VersionKey: TypeAlias = tuple[tuple[Part, ...], str]

#: Words that come before the version they stand in: 2.0rc1 is not yet 2.0. In their own order.
_BEFORE = {"dev": 0, "a": 1, "alpha": 1, "b": 2, "beta": 2, "c": 3, "rc": 3, "pre": 3, "preview": 3}
#: What a model without a version is called on the wire, because Triton's tools read versions as numbers.
UNVERSIONED = "1"
_PARTS = re.compile(r"[0-9]+|[^\W\d_]+")
_END: Part = (1, 0, "")


def version_key(text: str) -> VersionKey:
    """Return the key that sorts versions, the highest last. Any text has a key, and no two texts have the same.

    Numbers count as numbers, a leading v counts for nothing, words of a pre-release come before the release, and a
    version that begins with a word comes before all numbers.
    """
    bare = text[1:] if re.match(r"[vV][0-9]", text) else text
    release: list[Part] = []
    rest: list[Part] = []
    for word in _PARTS.findall(bare):
        part = _part(word)
        (rest if rest or part[0] != 3 else release).append(part)
    while len(release) > 1 and release[-1][1] == 0:
        release.pop()  # 2, 2.0 and 2.0.0 are the same version, and 2.0rc1 comes before all three
    return (*release, *rest, _END), text


def told(version: str | None) -> str:
    """Return a model's version as clients know it: its own, or 1 where it has none."""
    return UNVERSIONED if version is None else version


def highest(versions: Iterable[str]) -> str:
    """Return the highest of one or more versions."""
    return max(versions, key=version_key)


def _part(word: str) -> Part:
    if word.isdecimal():
        return 3, int(word), ""
    lowered = word.lower()
    if lowered in _BEFORE:
        return 0, _BEFORE[lowered], lowered
    return 2, 0, lowered
