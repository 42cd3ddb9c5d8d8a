"""Server reflection: the names of the services, and the files that describe them, from the face's own pool."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from srv.errors import quoted
from srv.grpc.calls import Call
from srv.grpc.descriptors import POOL, message
from srv.grpc.errors import BadRequest


class Reflection:
    """One version of the reflection service, whose messages have a package of their own."""

    def __init__(self, service: str, services: Sequence[str]) -> None:
        package = service.rpartition(".")[0]
        self._request = message(f"{package}.ServerReflectionRequest")
        self._response = message(f"{package}.ServerReflectionResponse")
        self._services = sorted(services)
        self._answers: Mapping[str, Callable[[Any, Any], None]] = {
            "file_by_filename": self._file_by_name,
            "file_containing_symbol": self._file_of_symbol,
            "file_containing_extension": _no_extension,
            "all_extension_numbers_of_type": self._extensions_of,
            "list_services": self._list,
        }

    def info(self, requests: Iterator[bytes], call: Call) -> Iterator[bytes]:
        """Yield one answer for each request. Raises InvalidInput for bytes that are no request."""
        for request in requests:
            asked = self._read(request)
            answer = self._response(valid_host=asked.host, original_request=asked)
            answers = self._answers.get(asked.WhichOneof("message_request"))
            if answers is None:
                _fail(answer, grpc.StatusCode.INVALID_ARGUMENT, "The request asks for nothing.")
            else:
                answers(asked, answer)
            yield answer.SerializeToString()

    def _read(self, request: bytes) -> Any:
        try:
            return self._request.FromString(request)
        except DecodeError:
            raise BadRequest("ServerReflectionRequest") from None

    def _file_by_name(self, asked: Any, answer: Any) -> None:
        _find(POOL.FindFileByName, asked.file_by_filename, answer)

    def _file_of_symbol(self, asked: Any, answer: Any) -> None:
        _find(_file_containing, asked.file_containing_symbol, answer)

    def _extensions_of(self, asked: Any, answer: Any) -> None:
        name = asked.all_extension_numbers_of_type
        try:
            POOL.FindMessageTypeByName(name)
        except KeyError:
            _fail(answer, grpc.StatusCode.NOT_FOUND, f"No message is called {quoted(name)}.")
        else:
            answer.all_extension_numbers_response.base_type_name = name

    def _list(self, asked: Any, answer: Any) -> None:
        for name in self._services:
            answer.list_services_response.service.add(name=name)


def _file_containing(name: str) -> Any:
    """Return the file of a symbol; to protobuf's pool a method is none. Raises KeyError."""
    try:
        return POOL.FindFileContainingSymbol(name)
    except KeyError:
        return POOL.FindMethodByName(name).containing_service.file


def _find(find: Callable[[str], Any], name: str, answer: Any) -> None:
    try:
        file = find(name)
    except KeyError:
        _fail(answer, grpc.StatusCode.NOT_FOUND, f"Nothing is called {quoted(name)}.")
    else:
        answer.file_descriptor_response.file_descriptor_proto.append(file.serialized_pb)


def _no_extension(asked: Any, answer: Any) -> None:
    _fail(answer, grpc.StatusCode.NOT_FOUND, "There are no extensions.")


def _fail(answer: Any, status: grpc.StatusCode, sentence: str) -> None:
    answer.error_response.error_code = status.value[0]
    answer.error_response.error_message = sentence
