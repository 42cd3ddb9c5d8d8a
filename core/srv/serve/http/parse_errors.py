"""Says what is wrong with a request's head that was refused or is not complete; slow and strict, off the good path."""

from __future__ import annotations

import re
from http import HTTPMethod

from srv.serve.http.errors import (
    BodyTooLarge,
    BrokenRequest,
    HeadersTooLarge,
    NotBuilt,
    ProxyProtocol,
    Refused,
    TargetTooLong,
    TooManyHeaders,
    VersionUnknown,
)
from srv.serve.http.limits import Limits

METHODS = {method.value.encode(): method.value for method in HTTPMethod if method is not HTTPMethod.CONNECT}
TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
UNPRINTABLE = re.compile(rb"[^\x21-\x7e]")
VERSION = re.compile(rb"[A-Z]+/\d+(\.\d+)?")
#: More digits than this are beyond every limit, and overflow somebody's arithmetic.
MOST_DIGITS = 18
OURS = (b"HTTP/1.1", b"HTTP/1.0")
#: How the PROXY protocol begins: its text form, and its binary form behind the empty lines that every request may have.
PROXY_PROTOCOL = (b"PROXY ", b"\x00\r\nQUIT\n")


def text(raw: bytes) -> str:
    """Return bytes of the wire as a sentence may quote them."""
    return raw.decode("latin-1")


def diagnose(data: bytes, limits: Limits) -> Refused:
    """Return why a head that the parser refused was refused."""
    if data.startswith(PROXY_PROTOCOL):
        return ProxyProtocol()
    head, end, _ = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    fault = request_line_fault(lines[0], limits)
    if fault is None and len(head) + len(end) > limits.max_header_size:
        fault = HeadersTooLarge(limits.max_header_size)
    return (
        fault
        or headers_fault(lines[1:], limits)
        or method_fault(lines[0])
        or framing_fault(lines[1:], limits)
        or BrokenRequest("it is not HTTP/1.1")
    )


def early_fault(data: bytes, limits: Limits) -> Refused | None:
    """Return what is certainly wrong with a head of which more may come; None while it may still become a good one."""
    if data.startswith(PROXY_PROTOCOL):
        return ProxyProtocol()
    line, ended, rest = data.partition(b"\r\n")
    if b"\n" in line or rest.count(b"\n") != rest.count(b"\r\n"):
        return BrokenRequest("a line ends in a bare line feed")
    if not ended:
        return request_line_start_fault(line.removesuffix(b"\r"), limits)
    if fault := request_line_fault(line, limits):
        return fault
    *lines, last = rest.split(b"\r\n")
    if len(data) > limits.max_header_size:
        return HeadersTooLarge(limits.max_header_size)
    return headers_fault(lines, limits) or header_start_fault(last.removesuffix(b"\r"))


def request_line_start_fault(line: bytes, limits: Limits) -> Refused | None:
    """Return what is wrong with a request line whose end has not come."""
    if len(line) > limits.request_line:
        return TargetTooLong(limits.request_line)
    method, blank, rest = line.partition(b" ")
    if (method or blank) and not TOKEN.fullmatch(method):
        return BrokenRequest("the method has characters that no method has")
    if UNPRINTABLE.search(rest.partition(b" ")[0]):
        return BrokenRequest("the target has characters that must be percent-encoded")
    return None


def header_start_fault(line: bytes) -> Refused | None:
    """Return what is wrong with a header line whose end has not come."""
    return None if not line or TOKEN.fullmatch(line) else header_fault(line)


def request_line_fault(line: bytes, limits: Limits) -> Refused | None:
    """Return what is wrong with a complete request line."""
    if len(line) > limits.request_line:
        return TargetTooLong(limits.request_line)
    if b"\n" in line:
        return BrokenRequest("a line ends in a bare line feed")
    words = line.split(b" ")
    if len(words) != 3:
        return BrokenRequest("the request line is not a method, a target and a version with single blanks between")
    method, target, version = words
    if not TOKEN.fullmatch(method):
        return BrokenRequest("the method has characters that no method has")
    if not target or UNPRINTABLE.search(target):
        return BrokenRequest("the target has characters that must be percent-encoded")
    if version not in OURS:
        known = VERSION.fullmatch(version)
        return VersionUnknown(text(version)) if known else BrokenRequest("the request line has no HTTP version")
    return None


def method_fault(line: bytes) -> Refused | None:
    """Return what is wrong with the method of a request line that is otherwise good."""
    method = line.partition(b" ")[0]
    return None if method in METHODS else NotBuilt("method", text(method))


def headers_fault(lines: list[bytes], limits: Limits) -> Refused | None:
    """Return what is wrong with complete header lines, one by one."""
    if len(lines) > limits.header_count:
        return TooManyHeaders(limits.header_count)
    return next((fault for line in lines if (fault := header_fault(line))), None)


def header_fault(line: bytes) -> Refused | None:
    """Return what is wrong with one header line."""
    if b"\n" in line:
        return BrokenRequest("a line ends in a bare line feed")
    if line[:1] in (b" ", b"\t"):
        return BrokenRequest("a header is folded over two lines")
    name, colon, value = line.partition(b":")
    if not colon or not TOKEN.fullmatch(name):
        return BrokenRequest("a header's name has characters that no name has, or no colon follows it")
    if CONTROL.search(value):
        return BrokenRequest(f"the header {text(name)} has a control character")
    return None


def framing_fault(lines: list[bytes], limits: Limits) -> Refused | None:
    """Return what is wrong with the headers that say where the body ends, and with those that may come only once."""
    values: dict[bytes, list[bytes]] = {}
    for line in lines:
        name, _, value = line.partition(b":")
        values.setdefault(name.lower(), []).append(value.strip(b" \t"))
    for name in (b"host", b"content-length", b"content-type"):
        if len(values.get(name, [])) > 1:
            return BrokenRequest(f"the header {text(name)} comes twice")
    codings = b",".join(values.get(b"transfer-encoding", [])).lower()
    if codings and b"content-length" in values:
        return BrokenRequest("it has both a Content-Length and a Transfer-Encoding")
    length = values.get(b"content-length", [b"0"])[0]
    if not length.isdigit():
        return BrokenRequest("its Content-Length is not a number")
    if int(length[-MOST_DIGITS:]) > limits.max_body_size or len(length) > MOST_DIGITS:
        return BodyTooLarge(limits.max_body_size)
    return coding_fault(codings) if codings else None


def coding_fault(codings: bytes) -> Refused | None:
    """Return what is wrong with the value of Transfer-Encoding, in lower case."""
    names = [name.strip(b" \t") for name in codings.split(b",")]
    unknown = next((name for name in names if name != b"chunked" and TOKEN.match(name)), None)
    if unknown is not None:
        return NotBuilt("transfer coding", text(unknown))
    return None if names == [b"chunked"] else BrokenRequest("its Transfer-Encoding is not 'chunked', once")
