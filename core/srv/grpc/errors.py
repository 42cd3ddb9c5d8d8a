"""The one table from what went wrong to what gRPC says of it."""

from __future__ import annotations

from collections.abc import Mapping

import grpc

from srv import errors

#: Class of error → (the contract's stable name, gRPC's status). The most derived class that stands here decides.
TABLE: Mapping[type[BaseException], tuple[str, grpc.StatusCode]] = {
    errors.InvalidInput: ("INVALID_INPUT", grpc.StatusCode.INVALID_ARGUMENT),
    errors.Unauthenticated: ("UNAUTHENTICATED", grpc.StatusCode.UNAUTHENTICATED),
    errors.Forbidden: ("FORBIDDEN", grpc.StatusCode.PERMISSION_DENIED),
    errors.LoadFailed: ("LOAD_FAILED", grpc.StatusCode.FAILED_PRECONDITION),
    errors.LoadIncomplete: ("LOAD_INCOMPLETE", grpc.StatusCode.INTERNAL),
    errors.NotFound: ("NOT_FOUND", grpc.StatusCode.NOT_FOUND),
    errors.TooLarge: ("TOO_LARGE", grpc.StatusCode.RESOURCE_EXHAUSTED),
    errors.QueueFull: ("QUEUE_FULL", grpc.StatusCode.RESOURCE_EXHAUSTED),
    errors.ModelError: ("MODEL_ERROR", grpc.StatusCode.INTERNAL),
    errors.Unimplemented: ("UNIMPLEMENTED", grpc.StatusCode.UNIMPLEMENTED),
    errors.Unavailable: ("UNAVAILABLE", grpc.StatusCode.UNAVAILABLE),
    errors.DeadlinePassed: ("DEADLINE", grpc.StatusCode.DEADLINE_EXCEEDED),
    errors.ClientLeft: ("CANCELLED", grpc.StatusCode.CANCELLED),
}
INTERNAL = ("INTERNAL", grpc.StatusCode.INTERNAL)
_INTERNAL_SENTENCE = "Something went wrong inside the server; its log says more."


class FaceBusy(errors.QueueFull):
    """More gRPC requests wait for a thread than the queue may hold."""

    def __init__(self, waiting: int) -> None:
        super().__init__(f"{waiting} gRPC requests wait for a thread already. Try again later.")


class BytesOverflow(errors.Unavailable):
    """The messages and bodies in flight together are more than the worker may hold."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"What is in flight exceeds the {limit} bytes of max_inflight_bytes. Try again later.")


class TooManyStanding(errors.QueueFull):
    """More streams of health and reflection are open than the server keeps."""

    def __init__(self, most: int) -> None:
        super().__init__(f"{most} streams of health and reflection are open already. Try again later.")


class AnswerTooLarge(errors.TooLarge):
    """A response longer than a message may be."""

    def __init__(self, size: int, limit: int) -> None:
        errors.SrvError.__init__(
            self, f"The response has {size} bytes, more than the {limit} that max_body_size allows."
        )


def told(error: BaseException) -> tuple[str, grpc.StatusCode, str]:
    """The stable name, the status and the sentence of an error; INTERNAL for what nobody foresaw."""
    for kind in type(error).__mro__:
        if kind in TABLE:
            return *TABLE[kind], str(error)
    return *INTERNAL, _INTERNAL_SENTENCE
