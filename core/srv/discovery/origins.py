"""Where distributions were installed from, by PEP 610, and the requirement lines that install them so again."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

_FILE = "file://"


def origin(distribution: Any) -> dict[str, Any] | None:
    """Return where a distribution was installed from, by its direct_url.json; None if that was an index."""
    try:
        text = distribution.read_text("direct_url.json")
        said = json.loads(text) if text else None
    except (OSError, ValueError):
        return None
    return said if isinstance(said, dict) and isinstance(said.get("url"), str) else None


def is_editable(direct: dict[str, Any]) -> bool:
    """Whether it is a folder whose code is used where it stands."""
    folder = direct.get("dir_info")
    return isinstance(folder, dict) and folder.get("editable") is True


def pinned(distribution: Any) -> str:
    """Return the line of a requirements file that installs a distribution as it is installed now."""
    name, version, direct = distribution.metadata["Name"], distribution.version, origin(distribution)
    if direct is None:
        return f"{name}=={version}"
    if direct["url"].startswith(_FILE) and is_editable(direct):
        return f"-e {unquote(direct['url'].removeprefix(_FILE))}"
    return f"{name} @ {_address(direct)}"


def _address(direct: dict[str, Any]) -> str:
    """Return the address as pip takes it: with a revision, a subdirectory, and a hash, where the file says them."""
    address = direct["url"]
    vcs, archive = direct.get("vcs_info"), direct.get("archive_info")
    fragments = []
    if isinstance(vcs, dict):
        address = f"{vcs.get('vcs', 'git')}+{address}@{vcs.get('commit_id', '')}".rstrip("@")
    if isinstance(archive, dict):
        hashes = archive.get("hashes")
        sha256 = hashes.get("sha256") if isinstance(hashes, dict) else None
        fragments += [f"sha256={sha256}"] if sha256 else []
    if direct.get("subdirectory"):
        fragments.append(f"subdirectory={direct['subdirectory']}")
    return f"{address}#{'&'.join(fragments)}" if fragments else str(address)
