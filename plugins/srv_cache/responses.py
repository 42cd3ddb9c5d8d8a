"""Cached responses, in cachetools' cache: the last used ones, for a time, in a bounded memory."""

from __future__ import annotations

import threading
import time
from collections.abc import MutableMapping

import msgspec
import numpy as np

from srv.hookspecs import Model
from srv.messages import InferenceResponse
from srv.tensors import Tensor

#: Bytes that count for a response beside its arrays.
_OVERHEAD = 1024


class _Entry(msgspec.Struct, frozen=True):
    response: InferenceResponse
    size: int


class ResponseCache:
    """A cache of responses, used from several threads. It holds copies, which nobody can write into."""

    def __init__(self, *, max_bytes: int, seconds: float) -> None:
        self._max_bytes = max_bytes
        # By the model itself and not its name: a model that was loaded anew is another one.
        self._entries: MutableMapping[tuple[Model, bytes], _Entry] = _store(max_bytes, seconds) if max_bytes else {}
        self._lock = threading.Lock()

    def find(self, model: Model, key: bytes) -> InferenceResponse | None:
        """Return the response, marked with the parameter `cached`; None if there is none or it is too old."""
        with self._lock:
            entry = self._entries.get((model, key))
        if entry is None:
            return None
        response = entry.response
        return InferenceResponse(list(response.outputs), {**response.parameters, "cached": True}, response.headers)

    def keep(self, model: Model, key: bytes, response: InferenceResponse) -> None:
        """Cache a response in place of those that were not used for longest."""
        if response.parameters.get("cached") is True:
            return
        outputs = [_frozen(tensor) for tensor in response.outputs]
        size = _OVERHEAD + sum(map(_size, outputs))
        if size > self._max_bytes:
            return
        copy = InferenceResponse(outputs, dict(response.parameters), dict(response.headers))
        with self._lock:
            self._entries[model, key] = _Entry(copy, size)

    def forget(self, model: Model) -> None:
        """Drop the responses of a model, so that nothing keeps it in memory."""
        with self._lock:
            for key in [key for key in self._entries if key[0] is model]:
                self._entries.pop(key, None)


def _store(max_bytes: int, seconds: float) -> MutableMapping[tuple[Model, bytes], _Entry]:
    from cachetools import TTLCache  # imported here, because few workers have this plugin configured

    store: MutableMapping[tuple[Model, bytes], _Entry] = TTLCache(
        max_bytes, seconds, timer=time.monotonic, getsizeof=lambda entry: entry.size
    )
    return store


def _frozen(tensor: Tensor) -> Tensor:
    array = np.array(tensor.data, order="C")
    array.flags.writeable = False
    return Tensor.trusted(tensor.name, array, tensor.datatype, dict(tensor.parameters))


def _size(tensor: Tensor) -> int:
    beside = sum(map(len, tensor.data.reshape(-1))) if tensor.datatype == "BYTES" else 0
    return int(tensor.data.nbytes) + beside
