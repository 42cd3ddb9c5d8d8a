"""Models that the load asks. Each answers with values that tell one request from all others, and with its worker's pid."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np

from srv import Runtime

#: Written anew by the load before each reload.
EDITION = 0
RAN = Path(os.environ.get("CHAOS_RAN", os.devnull))
Numbers = np.ndarray
ITEMS = 8


def said(x: Numbers, y: Numbers) -> dict[str, Numbers]:
    """The answer to rows of requests; the first number of each row is the request's own, and is noted as run."""
    with RAN.open("ab", 0) as file:
        file.write(x[:, 0].astype("<i8").tobytes())
    return {"y": y, "pid": np.full(len(x), os.getpid(), np.int64)}


def nap(x: Numbers) -> float:
    """How long a request wants its model to take, in seconds: its second number, in milliseconds."""
    return float(x[:, 1].max()) / 1000


class Double(Runtime):
    """Answers at once."""

    def predict(self, x: Numbers) -> dict[str, Numbers]:
        """Answer one request, or a batch."""
        return said(x, 2 * x)


class Slow(Runtime):
    """Takes as long as the request says."""

    def predict(self, x: Numbers) -> dict[str, Numbers]:
        """Answer one request, or a batch."""
        time.sleep(nap(x))
        return said(x, x + 1)


class SlowAsync(Runtime):
    """The same on the event loop."""

    async def predict(self, x: Numbers) -> dict[str, Numbers]:
        """Answer one request, or a batch."""
        await asyncio.sleep(nap(x))
        return said(x, x + 1)


class Edited(Runtime):
    """Adds the number of the edition that was loaded."""

    def predict(self, x: Numbers) -> dict[str, Numbers]:
        """Answer one request, or a batch."""
        return said(x, x + EDITION)


class Count(Runtime):
    """A stream of several responses."""

    def predict_stream(self, x: Numbers) -> Iterator[dict[str, Numbers]]:
        """Answer one request, several times."""
        for place in range(ITEMS):
            time.sleep(0.005)
            yield said(x, x + place)


class CountAsync(Runtime):
    """The same on the event loop."""

    async def predict_stream(self, x: Numbers) -> AsyncIterator[dict[str, Numbers]]:
        """Answer one request, several times."""
        for place in range(ITEMS):
            await asyncio.sleep(0.005)
            yield said(x, x + place)


class Sink(Runtime):
    """Takes bodies of any size and gives back one number."""

    def predict(self, x: Numbers) -> Numbers:
        """Answer one request, or a batch."""
        return x[-1:]
