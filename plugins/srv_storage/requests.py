"""HTTP requests for one address: credentials go to its own host only, and a redirect never leads from https to http."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from email.message import Message
from http.client import HTTPException, HTTPResponse
from typing import IO, Self
from urllib.error import HTTPError
from urllib.parse import SplitResult, quote, unquote, urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from srv.storage import FetchFailed
from srv.version import __version__
from srv_storage.settings import origin_of

_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
#: What a server says that takes no HEAD, or whose signed address is for GET alone.
_NO_HEAD = frozenset({400, 401, 403, 405, 501})
#: What may stand in a path or a query as it is; `%` because it may be encoded already.
_AS_WRITTEN = "/%:@!$&'()*+,;=~-._?[]"


class Response:
    """An answer whose content is read piece by piece; a context that closes the connection."""

    def __init__(self, answer: HTTPResponse) -> None:
        self._answer = answer
        self.headers: Message = answer.headers
        #: The place in the whole content at which this one begins.
        self.start = 0
        #: The bytes of the whole content, where the server says.
        self.size: int | None = None
        #: Whether a connection that breaks can be told from the end of the content.
        self.has_end = bool(answer.chunked) or answer.length is not None
        length = answer.headers.get("Content-Length", "")
        if answer.status == 206:
            found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            if found is None:
                raise HTTPException("the server sent a part of the content and not which")
            self.start = int(found[1])
            self.size = None if found[2] == "*" else int(found[2])
        elif length.isdecimal():
            self.size = int(length)

    def read(self, most: int) -> bytes:
        """Return the bytes that are there, at least one; none at the end."""
        return self._answer.read1(most)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._answer.close()


class Requests:
    """The requests for one address. `shown` is how errors name it."""

    def __init__(self, address: str, shown: str, headers: Mapping[str, str]) -> None:
        try:
            parts = urlsplit(address)
            host, _ = parts.hostname, parts.port
        except ValueError as error:
            raise FetchFailed(f"{shown} is no address: {error}") from None
        if not host:
            raise FetchFailed(f"{shown} names no host. Write {parts.scheme}://host/path")
        user, _, place = parts.netloc.rpartition("@")
        self._url = SplitResult(
            parts.scheme.lower(), place, quote(parts.path, _AS_WRITTEN), quote(parts.query, _AS_WRITTEN), ""
        ).geturl()
        #: For this host alone.
        self._private = {name.capitalize(): value for name, value in headers.items()}
        if user:
            credentials = base64.b64encode(unquote(user).encode()).decode()
            self._private.setdefault("Authorization", f"Basic {credentials}")
        self._opener = OpenerDirector()
        for handler in (
            ProxyHandler(),
            HTTPHandler(),
            HTTPSHandler(),
            HTTPDefaultErrorHandler(),
            HTTPErrorProcessor(),
            _Redirects(shown, self._private),
        ):
            self._opener.add_handler(handler)

    def head(self, timeout: float) -> Message:
        """Return the headers of an answer to HEAD, or to GET where the server takes no HEAD."""
        try:
            with self._open("HEAD", {}, timeout) as answer:
                return answer.headers
        except HTTPError as error:
            error.close()
            if error.code not in _NO_HEAD:
                raise
        with self._open("GET", {}, timeout) as answer:
            return answer.headers

    def get(self, timeout: float, *, start: int = 0, unchanged: str | None = None) -> Response:
        """Ask for the content from a place on, if its ETag is still `unchanged`; else, and without one, for all of it."""
        headers = {"Range": f"bytes={start}-", "If-Range": unchanged} if start and unchanged else {}
        return Response(self._open("GET", headers, timeout))

    def _open(self, method: str, headers: dict[str, str], timeout: float) -> HTTPResponse:
        given = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": f"srv/{__version__}", **headers}
        request = Request(self._url, method=method, headers=given)  # noqa: S310 - the scheme is http or https
        for name, value in self._private.items():
            request.add_unredirected_header(name, value)
        answer = self._opener.open(request, timeout=timeout)
        if not isinstance(answer, HTTPResponse):
            raise HTTPException("no answer")
        return answer


class _Redirects(HTTPRedirectHandler):
    """Follows redirects to http and https; the handlers know no other scheme."""

    def __init__(self, shown: str, private: Mapping[str, str]) -> None:
        self._shown = shown
        self._private = private

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> Request | None:
        """Return the next request, with the private headers while it goes to the same host."""
        if urlsplit(req.full_url).scheme == "https" and urlsplit(newurl).scheme != "https":
            raise FetchFailed(f"{self._shown} redirects from https to an address without it, which srv does not follow")
        following = super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]  # a Message too
        if following is not None:
            following.method = req.get_method()
            is_private = all(req.has_header(name) for name in self._private)
            if is_private and origin_of(following.full_url) == origin_of(req.full_url):
                for name, value in self._private.items():
                    following.add_unredirected_header(name, value)
        return following
