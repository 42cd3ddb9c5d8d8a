"""The signals of a server: those that ask it to end, and those that its launcher sends to its workers."""

from __future__ import annotations

import signal
from typing import NoReturn

from srv.errors import Stopped

#: Those that ask the server to end.
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)

#: Blocked around a fork, so that a signal for a worker waits until the worker can hear it.
HEARD_BY_WORKERS = (signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGABRT)

#: Finish what is there and go, at once: another worker has taken this one's place.
RETIRE = signal.SIGUSR2

#: Show where each thread is, even where one holds the interpreter lock.
SHOW = signal.SIGUSR1


def exit_quietly() -> None:
    """Have a request to end end this process with 0 and without a word: nothing has begun yet."""
    for sig in STOP_SIGNALS:
        signal.signal(sig, _end)


def block_stop_signals() -> None:
    """Let requests to end wait, because what is made from now on is cleaned up only by what follows."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)


def unblock_stop_signals() -> None:
    """Take requests to end again, those that have waited first."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


def ignore_stop_signals() -> None:
    """Ignore requests to end: nothing is left, and the interpreter gives signals their deadly meaning back as it goes."""
    for sig in STOP_SIGNALS:
        signal.signal(sig, signal.SIG_IGN)


def _end(*_: object) -> NoReturn:
    raise Stopped(0)
