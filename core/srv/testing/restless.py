"""Several threads at once, taking turns so often that what they share shows."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable


def restless(task: Callable[[int], None], count: int) -> None:
    """Run a task in so many threads, each with a number of its own, all of them from the same moment; wait for all."""
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
