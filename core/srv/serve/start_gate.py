"""The start gate: workers that are loaded let clients in when the first worker of the server can answer them."""

from __future__ import annotations

import mmap


class StartGate:
    """One byte of memory that the launcher writes and every worker reads. Made before the first fork; open at first."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 1)
        self.open()

    def open(self) -> None:
        """Let the workers that are loaded take clients."""
        self._shared[0] = 1

    def close(self) -> None:
        """Have workers that are loaded wait, because one that is not loaded takes the clients for now."""
        self._shared[0] = 0

    def is_open(self) -> bool:
        """Return whether workers that are loaded may take clients."""
        return self._shared[0] == 1
