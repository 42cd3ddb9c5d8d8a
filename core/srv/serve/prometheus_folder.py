"""The folder of prometheus_client's files, which every worker writes for itself and any worker reads for all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

#: What prometheus_client reads when it is imported, in either spelling; with it, it keeps all values in files.
_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_SPELLINGS = (_VARIABLE, _VARIABLE.lower())


def share_metrics(folder: Path) -> None:
    """Have prometheus_client keep its values in a folder, in a worker that has not imported it yet.

    A folder that the server's user has named stays in force.
    """
    if any(os.environ.get(name) for name in _SPELLINGS):
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ[_VARIABLE] = str(folder)


def forget_gauges(folder: Path, pid: int) -> None:
    """Remove the gauges of a worker that is gone, where they are to be those of living processes."""
    named = next((os.environ[name] for name in _SPELLINGS if os.environ.get(name)), None)
    for file in Path(named or folder).glob(f"gauge_live*_{pid}.db"):
        with suppress(OSError):
            file.unlink()
