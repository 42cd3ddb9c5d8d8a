"""The gRPC status of each error, and the sentence as gRPC can carry it."""

from __future__ import annotations

from collections.abc import Mapping

import grpc

from srv import errors

#: The gRPC status of each stable name.
STATUSES: Mapping[str, grpc.StatusCode] = {
    "INVALID_INPUT": grpc.StatusCode.INVALID_ARGUMENT,
    "UNAUTHENTICATED": grpc.StatusCode.UNAUTHENTICATED,
    "FORBIDDEN": grpc.StatusCode.PERMISSION_DENIED,
    "LOAD_FAILED": grpc.StatusCode.FAILED_PRECONDITION,
    "LOAD_INCOMPLETE": grpc.StatusCode.INTERNAL,
    "NOT_FOUND": grpc.StatusCode.NOT_FOUND,
    "TOO_LARGE": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "QUEUE_FULL": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "MODEL_ERROR": grpc.StatusCode.INTERNAL,
    "INTERNAL": grpc.StatusCode.INTERNAL,
    "UNIMPLEMENTED": grpc.StatusCode.UNIMPLEMENTED,
    "UNAVAILABLE": grpc.StatusCode.UNAVAILABLE,
    "DEADLINE": grpc.StatusCode.DEADLINE_EXCEEDED,
    "CANCELLED": grpc.StatusCode.CANCELLED,
}
#: The most bytes of a sentence; clients read 8 KiB of trailing metadata in all.
_MOST_BYTES = 6144
INTERNAL = errors.SrvError.code
#: What is told to clients of calls that the server ends because it stops.
STOPPED = "The server has stopped before this was answered. Ask again."
INTERNAL_SENTENCE = "Something went wrong inside the server; its log says more."


class BadRequest(errors.InvalidInput):
    """Bytes that are not the request's message."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The message is no {name}.")


class FaceBusy(errors.QueueFull):
    """More gRPC requests wait for a thread than the queue may hold."""

    def __init__(self, waiting: int) -> None:
        super().__init__(f"{waiting} gRPC requests wait for a thread already. Try again later.")


class TooManyStreams(errors.QueueFull):
    """More streams of health and reflection are open than the server keeps."""

    def __init__(self, most: int) -> None:
        super().__init__(f"{most} streams of health and reflection are open already. Try again later.")


class AnswerTooLarge(errors.TooLarge):
    """A response longer than a message may be."""

    def __init__(self, size: int, limit: int) -> None:
        errors.SrvError.__init__(
            self, f"The response has {size} bytes, more than the {limit} that max_body_size allows."
        )


def _fitting(sentence: str) -> str:
    """Cut a sentence so that it fits into trailing metadata, where a byte that is not ASCII takes three."""
    if sentence.isascii() or len(sentence) <= _MOST_BYTES // 9:
        return sentence
    return sentence.encode()[: _MOST_BYTES // 3].decode(errors="ignore")


def told(error: BaseException) -> tuple[str, grpc.StatusCode, str]:
    """Return the stable name, the status and the sentence of an error; INTERNAL for what is neither SrvError nor MemoryError."""
    if isinstance(error, MemoryError):
        error = errors.OutOfMemory()
    if not isinstance(error, errors.SrvError):
        return INTERNAL, STATUSES[INTERNAL], INTERNAL_SENTENCE
    code = errors.code_of(error)
    if code not in STATUSES or (code == INTERNAL and not isinstance(error, errors.PluginFailed)):
        return INTERNAL, STATUSES[INTERNAL], INTERNAL_SENTENCE  # among them UNSUPPORTED_MEDIA, of which gRPC has none
    return code, STATUSES[code], _fitting(errors.sentence_of(error))
