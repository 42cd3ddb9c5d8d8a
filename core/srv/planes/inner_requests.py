"""Inner requests: what a plugin or a model asks of a model, kept apart from the request that is answered meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextvars import copy_context
from itertools import islice
from typing import Any, NamedTuple, Self

from srv.inner_caller import CALLER, InnerCaller
from srv.messages import InferenceRequest, InferenceResponse
from srv.models.registry import ModelVersion
from srv.planes.dataplane import DataPlane
from srv.planes.request_ids import request_id
from srv.tensors import Tensor

_ID = "x-request-id"


class NoRequest(TypeError):
    """Something else than a request was asked."""

    def __init__(self, given: object) -> None:
        super().__init__(f"A model is asked with an srv.InferenceRequest, and not with a {type(given).__name__}.")


class Question(NamedTuple):
    """What a plugin or model asks, as it has given it."""

    name: str
    request: InferenceRequest
    version: str | None
    deadline: float | None
    headers: Mapping[str, str] | None


class Inner:
    """One inner request: what is asked of which model, for whom, and until when."""

    __slots__ = ("arguments", "asked", "caller", "deadline", "model")

    def __init__(
        self,
        model: ModelVersion,
        version: str | None,
        request: InferenceRequest,
        caller: InnerCaller,
        deadline: float | None,
        face: str,
    ) -> None:
        request.caller = caller
        self.model = model
        self.caller = caller
        self.deadline = deadline
        #: When it was asked, on the monotonic clock.
        self.asked = caller.received
        self.arguments: dict[str, Any] = {
            "name": model.name, "version": version, "request": request,
            "received": self.asked, "deadline": deadline, "face": face,
        }  # fmt: skip


class InnerStream:
    """The responses to one inner request: all are made in one context, whichever threads ask for them."""

    def __init__(self, dataplane: DataPlane, inner: Inner) -> None:
        self._caller = inner.caller
        self._context = copy_context()
        self._context.run(CALLER.set, inner.caller)
        self._responses = dataplane.stream(**inner.arguments, written=read_only)
        self._first: list[InferenceResponse] = []
        #: Held while a response is made, because a generator cannot be closed meanwhile.
        self._making = threading.RLock()

    @property
    def runs(self) -> bool:
        """Whether a thread makes a response, or closes the stream."""
        if self._making.acquire(blocking=False):
            self._making.release()
            return False
        return True

    def begin(self) -> None:
        """Wait for the first response."""
        self._first += [*islice(self, 1)]

    def __iter__(self) -> Iterator[InferenceResponse]:
        return self

    def __next__(self) -> InferenceResponse:
        if self._first:
            return self._first.pop()
        with self._making:
            try:
                return self._context.run(next, self._responses)
            except BaseException:
                self._caller.stop_listening()
                raise

    def close(self) -> None:
        """End the stream; the model's own iterator is closed."""
        self._first.clear()
        self._caller.stop_listening()
        with self._making:
            self._context.run(self._responses.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


def copied(request: InferenceRequest, headers: Mapping[str, str] | None) -> InferenceRequest:
    """Return a request of its own, because srv writes into requests, and the other one may be the outer request."""
    given = request.headers if headers is None else headers
    own = {name.lower(): value for name, value in given.items()}
    own[_ID] = request_id(own.get(_ID))
    inner = InferenceRequest([_locked(tensor) for tensor in request.inputs], request.id, headers=own)
    inner.outputs = request.outputs
    inner.parameters = dict(request.parameters)
    return inner


def _locked(tensor: Tensor) -> Tensor:
    """Return the tensor with an array that cannot be written into; the data is not copied."""
    if not tensor.data.flags.writeable:
        return tensor
    view = tensor.data.view()
    view.flags.writeable = False
    return Tensor.trusted(tensor.name, view, tensor.datatype, tensor.parameters, missing=tensor.missing)


def read_only(response: InferenceResponse) -> InferenceResponse:
    """Return the response with arrays that cannot be written into, because they may be the model's own."""
    response.outputs = [_locked(tensor) for tensor in response.outputs]
    return response
