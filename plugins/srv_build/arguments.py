"""What the options of `srv build` may say; what is said wrongly is wrong usage."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence

import click

from srv.errors import SrvError
from srv_build.errors import BadEpoch
from srv_build.exports import cache_of, output_of
from srv_build.tags import check_tag, is_platform

ARGUMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def tags_of(words: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the image."""
    for word in words:
        _usage(check_tag, word)
    return tuple(dict.fromkeys(words))


def platforms_of(words: Sequence[str]) -> tuple[str, ...]:
    """Return platforms, given one by one or with commas between them."""
    platforms = [platform.strip() for word in words for platform in word.split(",")]
    for platform in platforms:
        if not is_platform(platform):
            raise click.BadParameter(f"'{platform}' is no platform, such as linux/amd64 or linux/arm64.")
    return tuple(dict.fromkeys(platforms))


def caches_from(words: Sequence[str]) -> tuple[str, ...]:
    """Return the places of caches to take from."""
    for word in words:
        _usage(lambda text: cache_of("--cache-from", text), word)
    return tuple(words)


def caches_to(words: Sequence[str]) -> tuple[str, ...]:
    """Return the places of caches to keep."""
    for word in words:
        _usage(lambda text: cache_of("--cache-to", text), word)
    return tuple(words)


def output_words(word: str | None) -> str | None:
    """Return where the image is written to."""
    if word is not None:
        _usage(output_of, word)
    return word


def build_arguments(words: Sequence[str]) -> dict[str, str]:
    """Return NAME=VALUE pairs by name; a NAME alone takes its value from the environment, as secrets should."""
    values = {}
    for word in words:
        name, given, value = word.partition("=")
        if not ARGUMENT.fullmatch(name):
            raise click.BadParameter(f"'{word}' names no ARG.")
        if not given and name not in os.environ:
            raise click.BadParameter(f"'{name}' has no value, and the environment has none for it.")
        values[name] = value if given else os.environ[name]
    return values


def labels_of(words: Sequence[str]) -> dict[str, str]:
    """Return NAME=VALUE pairs by name."""
    for word in words:
        if not word.partition("=")[0] or "=" not in word:
            raise click.BadParameter(f"'{word}' is not NAME=VALUE.")
    return dict(word.split("=", 1) for word in words)


def epoch_of(environ: Mapping[str, str]) -> int | None:
    """Return the time of SOURCE_DATE_EPOCH, None where it is not set. Raises BadEpoch."""
    text = environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()):
        raise BadEpoch(text)
    return int(text)


def _usage(check: Callable[[str], object], word: str) -> None:
    """Call it with a word of the command line; what it refuses is wrong usage."""
    try:
        check(word)
    except SrvError as error:
        raise click.BadParameter(str(error)) from None
