import numpy as np

from srv import Runtime


class Raises(Runtime):
    """Fails in every way that a runtime can, by number."""

    def predict(self, how: np.ndarray):
        number = int(how[0])
        if number == 0:
            raise ValueError("a secret of /etc/passwd")
        return {
            1: (how, how),
            2: [how, how],
            3: object(),
            4: None,
            5: {1: how},
            6: {"y": object()},
            7: np.array([1j]),
            8: np.array([b"\xff\xfe"], dtype=object),
        }[number]
