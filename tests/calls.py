r"""Calls of gRPC as text files, and what must be heard.

    ModelInfer                       the method; behind it how the rest is written: nothing, hex, or frame
    x-request-id: mine               metadata, if any, each on a line, then an empty line

    model_name: "echo"               nothing: the request in protobuf's text format
    0a 04 "echo"                     hex: the message's bytes, as numbers or as text in quotes
    00 00000006 0a 04 "echo"         frame: what stands in the frames of HTTP/2, where also the flag and the length may lie

{a*9000} stands for 9000 times a; in hex and frame, what follows # is a remark.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import frames
import grpc
from google.protobuf import text_format
from google.protobuf.json_format import MessageToDict

from srv.grpc.descriptors import INFERENCE, message

REPEATED = re.compile(r"\{([^{}]+?)\*(\d+)\}")
HEX = re.compile(r'#[^\n]*|("(?:[^"\\\n]|\\.)*")|([0-9a-f]+)|\s+|(.)')
CODES = {code.value[0]: code for code in grpc.StatusCode}
STREAM = "ModelStreamInfer"


@dataclass(frozen=True)
class Call:
    """One call as its file says."""

    path: str
    metadata: Mapping[str, str]
    data: bytes
    framed: bool


def read_call(file: Path) -> Call:
    """The call that a file says."""
    head, _, body = file.read_text().partition("\n\n")
    first, *lines = head.split("\n")
    method, _, written = first.partition(" ")
    while (longer := REPEATED.sub(lambda found: found[1] * int(found[2]), body)) != body:
        body = longer
    data = octets(body) if written else _message(method, body)
    path = method if method.startswith("/") else f"/{INFERENCE}/{method}"
    return Call(path, dict(line.split(": ", 1) for line in lines), data, written == "frame")


def octets(text: str) -> bytes:
    """The bytes that hexadecimal numbers and texts in quotes stand for."""
    data = bytearray()
    for found in HEX.finditer(text):
        assert not found[3], f"{found[3]!r} is neither a number nor a text"
        data += ast.literal_eval(f"b{found[1]}") if found[1] else bytes.fromhex(found[2] or "")
    return bytes(data)


def have(call: Call, channel: Any, address: str) -> dict[str, Any]:
    """Have the call, and give what was said in the form of the files."""
    if call.framed:
        status = frames.converse(address, call.path, call.data, call.metadata)
        return {"status": "RESET" if status is None else CODES[status].name}
    metadata = list(call.metadata.items())
    try:
        if call.path.endswith(STREAM):
            answers = channel.stream_stream(call.path)(iter([call.data]), metadata=metadata, timeout=30)
            return {"status": "OK", "answers": list(map(_stream_answer, answers))}
        answer = channel.unary_unary(call.path)(call.data, metadata=metadata, timeout=30)
    except grpc.RpcError as error:
        trailing = dict(error.trailing_metadata() or ())
        said = {"status": error.code().name, "code": trailing.get("srv-code"), "error": error.details()}
        return {name: value for name, value in said.items() if value is not None}
    return {"status": "OK", "answer": _told(call.path, answer)}


def _message(method: str, text: str) -> bytes:
    written: bytes = text_format.Parse(text, _made(method, "Request")()).SerializeToString()
    return written


def _made(method: str, kind: str) -> Any:
    return message(f"inference.{'ModelInfer' if method == STREAM else method}{kind}")


def _told(path: str, answer: bytes) -> dict[str, Any]:
    read = _made(path.rpartition("/")[2], "Response").FromString(answer)
    told: dict[str, Any] = MessageToDict(read, preserving_proto_field_name=True)
    return told


def _stream_answer(answer: bytes) -> dict[str, Any]:
    read = message("inference.ModelStreamInferResponse").FromString(answer)
    told: dict[str, Any] = MessageToDict(read, preserving_proto_field_name=True)
    return told
