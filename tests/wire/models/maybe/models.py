import numpy as np

from srv import InvalidInput, Runtime, Unavailable


class Maybe(Runtime):
    """Says what it thinks of an input."""

    def predict(self, mood: np.ndarray):
        if mood[0] < 0:
            raise InvalidInput("mood must not be negative.")
        if mood[0] > 100:
            raise Unavailable("Too cheerful; try again later.")
        return mood * 2
