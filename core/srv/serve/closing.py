"""Closing: how a worker unloads its models at its end, and ends whatever they do."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from srv.models.main_thread import MainThread

#: Seconds that the rest of the stop gets after the models, before the process ends without it.
_FOR_THE_REST = 0.5
#: Seconds between two beats meanwhile.
_BEAT = 0.2


def close_within(
    seconds: float, close: Callable[[float], object], *, main_thread: MainThread, beat: Callable[[], object]
) -> None:
    """Call `close`, which unloads models for so long at most, in a thread. Called in the main thread.

    `beat` is called again and again meanwhile, and runs what waits for the main thread. Where an unload hangs there, the
    process ends.
    """
    ended, wakes = threading.Event(), threading.Event()

    def run() -> None:
        try:
            close(seconds)
        finally:
            ended.set()
            wakes.set()

    main_thread.wake = wakes.set
    until = time.monotonic() + seconds + _FOR_THE_REST
    at_the_latest = threading.Timer(seconds + 2 * _FOR_THE_REST, end_process)
    at_the_latest.daemon = True
    at_the_latest.start()
    threading.Thread(target=run, name="srv-close", daemon=True).start()
    while not ended.is_set() and time.monotonic() < until:
        wakes.clear()
        beat()
        if not ended.is_set():
            wakes.wait(_BEAT)
    at_the_latest.cancel()


def end_process() -> None:
    """End the process with code 0, whatever its threads do."""
    with suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(0)
