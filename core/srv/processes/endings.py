"""How a process ended, in words, and how long to wait before another one takes its place."""

from __future__ import annotations

import signal


def ended_by(code: int) -> str:
    """Return how a process ended, by its exit code or the negative number of a signal, as it goes on after 'a worker'."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was killed by {name}" + (" (out of memory?)" if -code == signal.SIGKILL else "")


class Backoff:
    """How long to wait before a process that died is replaced: not at all, then 1 s, 2 s, 4 s, up to 30 s."""

    def __init__(self, longest: float = 30.0, steady: float = 60.0) -> None:
        self._longest = longest
        self._steady = steady
        self._failures = 0
        self._not_before = 0.0

    def died(self, ready_since: float | None, now: float) -> float:
        """Count a death and return the wait that follows; a process that served for a while starts the count anew."""
        if ready_since is not None and now - ready_since > self._steady:
            self._failures = 0
        return self.failed(now)

    def failed(self, now: float, *, least: float = 0.0) -> float:
        """Count a failure and return the wait that follows."""
        wait = 0.0 if self._failures == 0 else min(2.0 ** (self._failures - 1), self._longest)
        wait = max(wait, least)
        self._failures += 1
        self._not_before = now + wait
        return wait

    def wait(self, now: float) -> float:
        """Return the seconds until a process may be started; 0 means now."""
        return max(0.0, self._not_before - now)
