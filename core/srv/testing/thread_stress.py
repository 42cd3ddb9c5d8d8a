"""Runs a task in several threads that switch so often that faults of shared state show."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable


def run_in_threads(task: Callable[[int], None], count: int) -> None:
    """Run a task in `count` threads that start together, each with its own number, and wait for all of them."""
    start = threading.Barrier(count)

    def run(number: int) -> None:
        start.wait()
        task(number)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    try:
        threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
