"""The models as srv serves them; each served folder gets a copy of this file."""

import os
import time

import numpy as np
from numpy.typing import NDArray

from srv import Runtime


class Sum(Runtime):
    """One number for all that came."""

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Add them."""
        return x.sum(keepdims=True)


class Echo(Runtime):
    """What came goes back."""

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Give it back."""
        return x


class Last(Runtime):
    """The last number of what came, so that what is timed is its way here and not work on it."""

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Look at one number."""
        return x[-1:]


class Slow(Runtime):
    """Takes a millisecond for a call, however many rows it brings."""

    def predict(self, x: NDArray[np.float32]) -> np.ndarray:
        """Wait outside of the interpreter lock."""
        time.sleep(0.001)
        return x


class Waits(Runtime):
    """Waits for something else for 20 ms, as for a database."""

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Wait outside of the interpreter lock."""
        time.sleep(0.02)
        return x


class Loops(Runtime):
    """Some 3 ms of Python, which holds the interpreter lock."""

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Count."""
        total = 0
        for number in range(60_000):
            total += number
        return x


class Multiplies(Runtime):
    """A product of two matrices of 768 rows, which the library of linear algebra spreads over its threads."""

    def load(self) -> None:
        """Make them once."""
        self.matrix = np.random.default_rng(1).random((768, 768), np.float32)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Multiply."""
        self.matrix @ self.matrix
        return x


class Who(Runtime):
    """Which process it is that answers."""

    def predict(self, x: np.ndarray) -> np.ndarray:  # noqa: ARG002 - a request has an input
        """Tell the process's number."""
        return np.array([os.getpid()], np.int64)


class Weights(Runtime):
    """Half a gigabyte of weights, of which a prediction needs one."""

    def load(self) -> None:
        """Make them, all different, so that no page is like another."""
        self.weights = np.arange(125_000_000, dtype=np.float32)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Add the weight of the number 1."""
        return x + self.weights[1]
