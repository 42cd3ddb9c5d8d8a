"""Answers that are kept: the last used ones, for so long, in so much memory."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

import msgspec
import numpy as np

from srv.hookspecs import Model
from srv.messages import InferenceResponse
from srv.tensors import Tensor

#: What the memory counts for an answer beside its arrays.
_OVERHEAD = 1024


class _Kept(msgspec.Struct, frozen=True):
    response: InferenceResponse
    size: int
    until: float


class Answers:
    """A memory of answers, used from many threads. Kept are copies, so that nobody writes into them."""

    def __init__(self, *, max_bytes: int, seconds: float) -> None:
        self._max_bytes = max_bytes
        self._seconds = seconds
        # By the model itself and not its name: a model that was loaded anew is another one.
        self._kept: OrderedDict[tuple[Model, bytes], _Kept] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def find(self, model: Model, key: bytes) -> InferenceResponse | None:
        """The answer, marked with the parameter `remembered`; None where there is none, or it is too old."""
        with self._lock:
            kept = self._kept.get((model, key))
            if kept is None:
                return None
            if time.monotonic() > kept.until:
                self._drop((model, key))
                return None
            self._kept.move_to_end((model, key))
        response = kept.response
        return InferenceResponse(list(response.outputs), {**response.parameters, "remembered": True}, response.headers)

    def keep(self, model: Model, key: bytes, response: InferenceResponse) -> None:
        """Keep an answer, in the place of those that were not used for longest."""
        if response.parameters.get("remembered") is True:
            return
        outputs = [_frozen(tensor) for tensor in response.outputs]
        size = _OVERHEAD + sum(map(_size, outputs))
        if size > self._max_bytes:
            return
        copy = InferenceResponse(outputs, dict(response.parameters), dict(response.headers))
        with self._lock:
            self._drop((model, key))
            while self._size + size > self._max_bytes:
                self._drop(next(iter(self._kept)))
            self._kept[model, key] = _Kept(copy, size, time.monotonic() + self._seconds)
            self._size += size

    def forget(self, name: str) -> None:
        """Forget what a model of that name answered, in any version."""
        with self._lock:
            for place in [place for place in self._kept if place[0].name == name]:
                self._drop(place)

    def _drop(self, place: tuple[Model, bytes]) -> None:
        kept = self._kept.pop(place, None)
        if kept is not None:
            self._size -= kept.size


def _frozen(tensor: Tensor) -> Tensor:
    array = np.array(tensor.data, order="C")
    array.flags.writeable = False
    return Tensor.trusted(tensor.name, array, tensor.datatype, dict(tensor.parameters))


def _size(tensor: Tensor) -> int:
    beside = sum(map(len, tensor.data.reshape(-1))) if tensor.datatype == "BYTES" else 0
    return int(tensor.data.nbytes) + beside
