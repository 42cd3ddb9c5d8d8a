"""Labels that only a build can give: the revision that it was made of, and the time that it was told."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

REVISION = "org.opencontainers.image.revision"
CREATED = "org.opencontainers.image.created"

_SECONDS = 20


def stamps(folder: Path, epoch: int | None) -> Mapping[str, str]:
    """Return the labels for a build of the folder as it is now.

    The Dockerfile has none of them, because it would be another one after each commit. Without SOURCE_DATE_EPOCH there
    is no time either: the image knows its own, and a label with the clock's time would make another image of each build.
    """
    found = {}
    if (revision := revision_of(folder)) is not None:
        found[REVISION] = revision
    if epoch is not None:
        found[CREATED] = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return found


def revision_of(folder: Path) -> str | None:
    """Return the commit that git has of a folder, with `-dirty` where files of the folder differ from it.

    Without the program git nobody knows whether they differ, so there is no revision then, as in a folder that git does
    not know.
    """
    git = shutil.which("git")
    if git is None:
        return None
    commit = _told(git, folder, "rev-parse", "--verify", "HEAD")
    changed = _told(git, folder, "--no-optional-locks", "status", "--porcelain", "--", ".")
    if not commit or changed is None:
        return None
    return f"{commit}-dirty" if changed else commit


def _told(git: str, folder: Path, *words: str) -> str | None:
    """Return what git says, None where it fails: there is no repository, no commit, or the folder is somebody else's."""
    try:
        ended = subprocess.run(  # noqa: S603 - git, on a folder that is to be built
            [git, "-C", str(folder), *words], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return ended.stdout.strip() if ended.returncode == 0 else None
