"""Secrets of a build: how the steps that install the environment read them, with nothing of them in a layer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from srv.images import ImagePlan
from srv_dockerfile.dockerignore import Ignore
from srv_dockerfile.errors import BadSecret, SecretTravels

#: Where a step finds a secret whose id says nothing of another place.
PLACE = "/run/secrets"
NETRC = "/root/.netrc"

_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")


def check_id(secret: str) -> str:
    """Return the id of a secret. Raises BadSecret for one that a Dockerfile cannot name."""
    if _ID.fullmatch(secret) is None:
        raise BadSecret(secret)
    return secret


def mounts(secrets: Iterable[str]) -> list[str]:
    """Return the flags of a RUN that reads these secrets; the build ends where one of them is not given."""
    return [f"--mount=type=secret,id={secret}{_target(secret)},required=true" for secret in secrets]


def exports(secrets: Iterable[str]) -> list[str]:
    """Return the shell's commands, before all others of that RUN, that tell its programs of the secrets."""
    found = []
    for secret in secrets:
        if secret == "pip.conf":  # noqa: S105 - a file's name
            found.append(f"export PIP_CONFIG_FILE={PLACE}/{secret}")
        elif secret == "netrc":  # noqa: S105 - a file's name
            found.append(f"export NETRC={NETRC}")
        elif _VARIABLE.fullmatch(secret):
            found.append(f'{secret}="$(cat {PLACE}/{secret})" && export {secret}')
    return found


def check_stay(plan: ImagePlan, files: Iterable[Path]) -> None:
    """Raise SecretTravels if one of the files with secrets is in the folder and would be copied into the image."""
    root, ignore = plan.folder.resolve(), Ignore(plan.ignore)
    for file in files:
        path = file.resolve()
        if path.is_relative_to(root) and not ignore.leaves_out(path.relative_to(root).as_posix()):
            raise SecretTravels(path.relative_to(root).as_posix())


def _target(secret: str) -> str:
    # pip and uv are told by NETRC; git and curl look at home alone.
    return f",target={NETRC}" if secret == "netrc" else ""  # noqa: S105 - a file's name
