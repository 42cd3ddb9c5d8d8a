"""Names of images, by the grammar of all registries."""

from __future__ import annotations

import re

from srv_build.errors import BadTag

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_WORD = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_NAME = re.compile(
    rf"(?:{_LABEL}(?:\.{_LABEL})*(?::[0-9]{{1,5}})?/)?{_WORD}(?:/{_WORD})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?"
)
LONGEST = 255


def check_tag(tag: str) -> None:
    """Raise BadTag for a text that is no name of an image."""
    if len(tag) > LONGEST or not _NAME.fullmatch(tag):
        raise BadTag(tag)


_PART = r"[A-Za-z0-9_.-]+"
_PLATFORM = re.compile(rf"{_PART}/{_PART}(?:/{_PART})?")


def is_platform(text: str) -> bool:
    """Return whether the text names a system and a processor, such as `linux/arm64` or `linux/arm/v7`."""
    return _PLATFORM.fullmatch(text) is not None
