from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray

from srv import Runtime, Spec


class Answer(NamedTuple):
    total: Annotated[NDArray[np.float32], Spec(shape=(1,))]
    count: NDArray[np.int64]


class Typed(Runtime):
    """Takes exactly what its signature declares."""

    def predict(
        self, x: Annotated[NDArray[np.float32], Spec(shape=(-1, 2))], weights: NDArray[np.float32] | None = None
    ) -> Answer:
        weighted = x if weights is None else x * weights
        return Answer(total=weighted.sum(keepdims=True).reshape(1), count=np.array([x.size]))
