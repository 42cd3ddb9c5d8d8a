"""Paths in sentences for clients: relative to a model's folder, and others by their last part alone."""

from __future__ import annotations

import re
from pathlib import Path

#: An absolute path, and none of MLflow's two kinds of URIs, which have one slash.
_PATH = re.compile(r"(?<![\w./])(?<!\bmodels:)(?<!\bruns:)/(?:[^\s/'\"<>:,()]+/)+([^\s/'\"<>:,()]*)")


def within(text: str, folder: Path) -> str:
    """Return a text whose paths below a folder are relative to it."""
    named = str(folder.absolute())
    return text.replace(named + "/", "").replace(named, ".")


def shortened(text: str) -> str:
    """Return a text whose absolute paths are their last parts."""
    return _PATH.sub(r"…/\1", text)
