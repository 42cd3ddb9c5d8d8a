"""The option --secret of `srv build`, in Docker's own words: `id=ID,src=FILE` or `id=ID,env=NAME`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import click

from srv.images import Secret

_KINDS = ("file", "env")


def secrets_of(words: Sequence[str]) -> tuple[Secret, ...]:
    """Return the secrets, each of a file that is there or of a variable that is set. Raises BadParameter."""
    found = {secret.id: secret for secret in map(_secret, words)}
    return tuple(found.values())


def _secret(word: str) -> Secret:
    said = dict(_pair(word, part) for part in word.split(","))
    name = said.pop("id", "")
    file = said.pop("src", said.pop("source", None))
    variable, kind = said.pop("env", None), said.pop("type", None)
    if said:
        raise click.BadParameter(f"'{next(iter(said))}' in '{word}' is none of id, src, env and type.")
    if not name:
        raise click.BadParameter(f"'{word}' has no id, as in id=netrc,src=$HOME/.netrc.")
    if kind not in (None, *_KINDS) or (file is not None and variable is not None):
        raise click.BadParameter(f"'{word}' must name either a file with src, or a variable with env.")
    if variable is None and (kind == "env" or (file is None and kind is None and name in os.environ)):
        variable = file or name
    if variable is not None:
        if variable not in os.environ:
            raise click.BadParameter(f"The variable '{variable}' of '{word}' is not set.")
        return Secret(name, variable=variable)
    path = Path(file or name).expanduser()
    if not path.is_file():
        raise click.BadParameter(f"'{path}' of '{word}' is no file.")
    return Secret(name, file=path.absolute())


def _pair(word: str, part: str) -> tuple[str, str]:
    key, equals, value = part.partition("=")
    if not equals:
        raise click.BadParameter(f"'{part}' in '{word}' is not KEY=VALUE, as in id=netrc,src=$HOME/.netrc.")
    return key.strip().lower(), value
