"""Loads and unloads in a worker's main thread, with the heartbeat and srv's signal handlers kept up."""

from __future__ import annotations

import faulthandler
import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from srv.models.main_thread import MainThread
from srv.processes.thread_dumps import ThreadDump

log = logging.getLogger(__name__)

_REFUSED = "A model has set a handler for %s, which tells this worker what to do; the worker's own stays."
#: Seconds between two signs of life.
_HEARTBEAT = 0.25


def work(
    main_thread: MainThread, *, beat: Callable[[], object], ours: Sequence[int], shows: int, dump: ThreadDump
) -> None:
    """Run the calls that wait for the main thread, which may take long.

    Another thread calls `beat` meanwhile. A model sets no handlers for signals of `ours`, or where it gets round that,
    the former ones are back at the end; `shows` is the signal for which faulthandler is registered, which writes to `dump`.
    """
    with _beating(beat), _handlers_kept(ours, shows, dump), _handlers_refused(ours):
        main_thread.work()


@contextmanager
def _beating(beat: Callable[[], object]) -> Iterator[None]:
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(_HEARTBEAT):
            beat()

    thread = threading.Thread(target=go_on, name="srv-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def _handlers_refused(ours: Sequence[int]) -> Iterator[None]:
    """Keep the handlers of these signals while models set theirs, so that a load that takes long can be stopped."""
    set_handler = signal.signal

    def refuse(number: int, handler: Any) -> Any:
        if number not in ours or threading.current_thread() is not threading.main_thread():
            return set_handler(number, handler)
        log.warning(_REFUSED, signal.Signals(number).name)
        return signal.getsignal(number)

    module: Any = signal  # a type checker takes functions for what must not be replaced
    module.signal = refuse
    try:
        yield
    finally:
        module.signal = set_handler


@contextmanager
def _handlers_kept(ours: Sequence[int], shows: int, dump: ThreadDump) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in ours}
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) != handler:
                signal.signal(number, handler)
                log.warning(_REFUSED, signal.Signals(number).name)
                if number == shows:
                    faulthandler.register(shows, dump, all_threads=True)
