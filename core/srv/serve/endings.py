"""Signals that ask a server to end, before the master hears them and after it has ended."""

from __future__ import annotations

import signal
from typing import NoReturn

ENDINGS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


def end_quietly() -> None:
    """From now on a request to end ends this process with 0 and without a word: nothing has begun yet."""
    for sig in ENDINGS:
        signal.signal(sig, _end)


def put_off_endings() -> None:
    """Let requests to end wait: what is made from now on is cleaned up only by what follows."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS)


def hear_endings() -> None:
    """Hear those that have waited, and all that come."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDINGS)


def ignore_endings() -> None:
    """Nothing is left to be ended; and the interpreter gives signals their deadly meaning back before it goes."""
    for sig in ENDINGS:
        signal.signal(sig, signal.SIG_IGN)


def _end(*_: object) -> NoReturn:
    raise SystemExit(0)
