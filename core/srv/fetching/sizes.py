"""Sizes as people read them: 1.5 GB."""

from __future__ import annotations


def shown_size(size: float) -> str:
    """Return a number of bytes with the unit that suits it; thousands, as disks and networks count."""
    if size < 1000:
        return f"{size:.0f} bytes"
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 999.5:
            return f"{size:.3g} {unit}"
    return f"{size / 1000:.3g} TB"
