"""ModelStreamInfer in the form of MLServer's clients, for models that are MLServer's classes.

srv answers in Triton's form, whose responses wrap those of ModelInfer. MLServer has a stream of the latter, under the same
name, and a client of one form reads the other as nonsense. So the model decides: whoever streams from a class of MLServer's has
done that with MLServer's own stubs before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import grpc

from srv import errors
from srv_mlserver.served_names import ServedNames
from srv_mlserver.wire import field

METHOD = "/inference.GRPCInferenceService/ModelStreamInfer"
_MODEL_NAME = 1  # of a ModelInferRequest
_ERROR, _RESPONSE = 1, 2  # of a ModelStreamInferResponse
_KINDS = {
    kind.code: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.SrvError)
}


class Streams(grpc.ServerInterceptor):  # type: ignore[misc]  # grpcio has no types
    """Gives streams the form that clients of MLServer read, where their first request asks a class of MLServer's."""

    def __init__(self, served: ServedNames) -> None:
        self._served = served

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        """Return srv's handler, and for streams one that looks at the first request."""
        handler = continuation(details)
        if details.method != METHOD or handler is None or not handler.response_streaming:
            return handler

        def answers(requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
            first = next(requests, None)
            given = () if first is None else (first,)
            told = handler.stream_stream(chain(given, requests), context)
            if first is None or (field(first, _MODEL_NAME) or b"").decode("utf-8", "replace") not in self._served:
                yield from told
                return
            for answer in told:
                yield _plain(answer, getattr(context, "srv_code", None))

        return grpc.stream_stream_rpc_method_handler(answers, handler.request_deserializer, handler.response_serializer)


def _plain(answer: bytes, code: str | None) -> bytes:
    """Return the response in an answer of srv's. Raises the error that it tells, which ends the stream with its status."""
    response = field(answer, _RESPONSE) or b""
    sentence = field(answer, _ERROR)
    if not sentence:
        return response
    kind = _KINDS.get(code or "", errors.ModelError)
    raise kind.__new__(kind, sentence.decode())  # without __init__, which makes a sentence of its own
