"""Reads a request's head with httptools, and checks again what httptools lets pass."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote_to_bytes

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from srv.serve.http.errors import BodyTooLarge, BrokenRequest, ExpectationUnknown, NotBuilt
from srv.serve.http.limits import Limits
from srv.serve.http.parse_errors import METHODS, MOST_DIGITS, coding_fault, diagnose

ABSOLUTE = re.compile(rb"(https?)://([^/?#]*)([^#]*)", re.IGNORECASE)
HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(:[0-9]{0,5})?")
#: Fields that may come once: a second one could be read differently by whoever stands before or behind.
SINGLE = frozenset({"HTTP_HOST", "CONTENT_LENGTH", "CONTENT_TYPE"})
#: How many header names and hosts are remembered: more than honest clients send, too few to fill memory with.
REMEMBERED = 1024
LONGEST_REMEMBERED = 256
SLASH = ord("/")
#: A request line's last word → which HTTP/1 it is.
VERSIONS = {b"HTTP/1.1": 1, b"HTTP/1.0": 0}
END = b"\r\n\r\n"
#: Clients send the same head again and again; so many, each of at most so many bytes, are read once.
MOST_KNOWN = 256
LONGEST_KNOWN = 2048


class Head:
    """A request's head, checked: what the app gets to see, and how its body is framed.

    Requests whose heads are the same bytes share one; nobody changes it.
    """

    __slots__ = (
        "chunked",
        "environ",
        "expects",
        "fields",
        "keep_alive",
        "length",
        "method",
        "path",
        "query",
        "size",
        "target",
        "version",
    )

    method: str
    target: bytes
    path: str
    query: str
    fields: dict[str, str]  # names as in a WSGI environ
    environ: dict[str, Any] | None  # what all requests with this head have in theirs, once one was made
    size: int  # how many bytes the head took
    length: int
    chunked: bool
    expects: bool
    keep_alive: bool
    version: int  # of HTTP/1: 0 or 1


class Names(dict[bytes, str]):
    """Header names as a WSGI environ spells them, remembered; those with an underscore, ambiguous there, are ''."""

    def __missing__(self, name: bytes) -> str:
        key = "" if b"_" in name else name.decode("ascii").upper().replace("-", "_")
        if key and key not in SINGLE:
            key = f"HTTP_{key}"
        if len(self) < REMEMBERED and len(name) <= LONGEST_REMEMBERED:
            self[name] = key
        return key


class Silent:
    """Callbacks for httptools, none of which does anything: it only checks whether the head is HTTP."""

    on_message_begin = on_url = on_header = on_headers_complete = None
    on_body = on_message_complete = on_chunk_header = on_chunk_complete = None


class HeadReader:
    """Reads heads. Each connection's bytes come to the thread that leads, so no two calls overlap."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._names = Names()
        self._hosts: set[str] = set()
        self._known: dict[bytes, Head] = {}

    def read(self, data: bytes) -> Head | None:
        """Return the head at the start of the data, or None if it has not ended yet; raises Refused.

        The data starts with the request line: empty lines before it are the caller's to drop.
        """
        end = data.find(END)
        if end < 0:
            return None
        text = data[: end + len(END)]
        head = self._known.get(text)
        if head is None:
            head = self._read(text)
            if len(text) <= LONGEST_KNOWN:
                if len(self._known) >= MOST_KNOWN:
                    self._known.clear()
                self._known[text] = head
        return head

    def _read(self, text: bytes) -> Head:
        try:
            HttpRequestParser(Silent).feed_data(text)
        except HttpParserUpgrade:
            pass  # raised after the whole head was read; a server may answer as if no upgrade was asked for
        except HttpParserError:
            raise diagnose(text, self._limits) from None
        lines = text.split(b"\r\n")
        words = lines[0].split(b" ")
        # httptools takes more blanks than one and other protocols than HTTP/1, and has no limits.
        if len(words) != 3 or words[2] not in VERSIONS or not self._is_within_limits(text, lines):
            raise diagnose(text, self._limits)
        name, target, version = words
        method = METHODS.get(name)
        if method is None:
            raise NotBuilt("method", name.decode("ascii"))
        head = Head()
        head.environ = None
        head.size = len(text)
        head.method = method
        head.fields = fields = self._fields(lines)
        self._read_target(head, target, fields)
        try:
            self._read_framing(head, fields, VERSIONS[version])
        except BodyTooLarge as refused:
            refused.origin = fields.get("HTTP_ORIGIN")
            raise
        return head

    def _is_within_limits(self, text: bytes, lines: list[bytes]) -> bool:
        """Return whether each line ends in CRLF, and neither they nor their number are beyond the limits."""
        limits = self._limits
        ends = len(lines) - 1
        return (
            text.count(b"\n") == text.count(b"\r") == ends <= limits.header_count + 2
            and len(lines[0]) <= limits.request_line
            and len(text) <= limits.max_header_size
        )

    def _fields(self, lines: list[bytes]) -> dict[str, str]:
        names = self._names
        fields: dict[str, str] = {}
        for line in lines[1:-2]:  # between the request line and the empty one
            name, _, raw = line.partition(b":")
            key = names[name]
            value = raw.decode("latin-1").strip(" \t")
            if key in fields:
                if key in SINGLE:
                    raise BrokenRequest(f"the header {name.decode('ascii')} comes twice")
                joint = "; " if key == "HTTP_COOKIE" else ", "
                fields[key] = fields[key] + joint + value
            else:
                fields[key] = value
        fields.pop("", None)
        return fields

    def _read_target(self, head: Head, target: bytes, fields: dict[str, str]) -> None:
        host = fields.get("HTTP_HOST")
        head.target = target
        if target[0] != SLASH:
            target = self._other_target(head.method, target, fields)
            host = fields.get("HTTP_HOST", host)
        if not target.isascii() or b"#" in target:
            raise BrokenRequest("the target has characters that must be percent-encoded")
        if host not in self._hosts and host is not None:
            if not HOST.fullmatch(host):
                raise BrokenRequest("its Host is not a host")
            if len(self._hosts) < REMEMBERED and len(host) <= LONGEST_REMEMBERED:
                self._hosts.add(host)
        path, _, query = target.partition(b"?")
        if b"%" in path:
            path = unquote_to_bytes(path)
        head.path = path.decode("latin-1")
        head.query = query.decode("ascii")

    def _other_target(self, method: str, target: bytes, fields: dict[str, str]) -> bytes:
        if target == b"*" and method == "OPTIONS":
            return target
        absolute = ABSOLUTE.fullmatch(target)
        if absolute is None or not absolute[2] or not HOST.fullmatch(absolute[2].decode("latin-1")):
            raise BrokenRequest("the target is neither a path nor an http URI")
        if "HTTP_HOST" in fields:  # the target's word counts, but the header must be there as for any other target
            fields["HTTP_HOST"] = absolute[2].decode("ascii")
        rest = absolute[3]
        return rest if rest.startswith(b"/") else b"/" + rest

    def _read_framing(self, head: Head, fields: dict[str, str], minor_version: int) -> None:
        coding = fields.get("HTTP_TRANSFER_ENCODING")
        length = fields.get("CONTENT_LENGTH")
        head.chunked = coding is not None
        if coding is not None:
            self._check_coding(coding, length, minor_version)
            head.length = 0
        else:
            head.length = 0 if length is None else self._read_length(length)
        head.version = minor_version
        connection = fields.get("HTTP_CONNECTION")
        if minor_version:
            if "HTTP_HOST" not in fields:
                raise BrokenRequest("HTTP/1.1 asks for a Host header")
            head.keep_alive = connection is None or "close" not in options_of(connection)
        else:
            fields["SERVER_PROTOCOL"] = "HTTP/1.0"
            head.keep_alive = connection is not None and options_of(connection) & {"close", "keep-alive"} == {
                "keep-alive"
            }
        expectation = fields.get("HTTP_EXPECT")
        head.expects = expectation is not None and self._read_expectation(expectation, minor_version)

    def _check_coding(self, coding: str, length: str | None, minor_version: int) -> None:
        if length is not None:
            raise BrokenRequest("it has both a Content-Length and a Transfer-Encoding")
        if coding.lower() != "chunked":
            raise coding_fault(coding.lower().encode("latin-1")) or BrokenRequest("its Transfer-Encoding is unclear")
        if not minor_version:
            raise BrokenRequest("HTTP/1.0 has no Transfer-Encoding")

    def _read_length(self, length: str) -> int:
        if not (length.isascii() and length.isdigit()):
            raise BrokenRequest("its Content-Length is not a number")
        if len(length) > MOST_DIGITS or int(length) > self._limits.max_body_size:
            raise BodyTooLarge(self._limits.max_body_size)
        return int(length)

    def _read_expectation(self, expectation: str, minor_version: int) -> bool:
        if expectation.lower() != "100-continue":
            raise ExpectationUnknown(expectation)
        return minor_version == 1


def options_of(connection: str) -> set[str]:
    """Return the words of a Connection header, in lower case."""
    return {word.strip(" \t").lower() for word in connection.split(",")}
