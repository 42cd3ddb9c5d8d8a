"""What the page is made of, as resources: its HTML, its files, and what it asks beside the protocol."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from importlib.resources import files
from typing import Any

import falcon
import orjson

from srv.errors import NotFound, quoted
from srv.hookspecs import Server
from srv_docs.examples import Examples

#: Nothing is loaded from elsewhere, no text becomes code, and no other site shows the page in a frame of its own.
POLICY = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
_CONTENT_TYPES: Mapping[str, str] = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_HTML = "page.html"


class NoSuchFile(NotFound):
    """The page has no file of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The page has no file {quoted(name)}.")


class Page:
    """The page for browsers. It is the same text for each model, known or not, so that it tells nothing without a key."""

    srv_nonblocking = True

    def __init__(self) -> None:
        self._html = files(__package__).joinpath("page", _HTML).read_text(encoding="utf-8")

    def on_get(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        model: str | None = None,
        version: str | None = None,
    ) -> None:
        """Answer with the HTML, whose links are relative, because a proxy may put a prefix before the path."""
        up = 0 if model is None else 2 if version is None else 4
        up += req.env["PATH_INFO"].endswith("/")
        _send(req, resp, self._html.replace("{up}", "../" * up).encode(), "text/html; charset=utf-8")

    on_head = on_get


class Files:
    """The style and the scripts of the page."""

    srv_nonblocking = True

    def __init__(self) -> None:
        self._files = {
            file.name: file.read_bytes()
            for file in files(__package__).joinpath("page").iterdir()
            if file.name.rpartition(".")[2] in _CONTENT_TYPES
        }

    def on_get(self, req: falcon.Request, resp: falcon.Response, file: str) -> None:
        """Answer with one file."""
        content = self._files.get(file)
        if content is None:
            raise NoSuchFile(file)
        _send(req, resp, content, _CONTENT_TYPES[file.rpartition(".")[2]])

    on_head = on_get


class About:
    """What the page says of the server, beyond its metadata."""

    srv_nonblocking = True

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer whether clients may load and unload models."""
        server: Server = req.context.server
        resp.data = orjson.dumps({"name": server.server_name, "model_control": server.model_control})

    on_head = on_get


class Example:
    """What the form of a model begins with."""

    def __init__(self, examples: Examples) -> None:
        self._examples = examples

    def on_get(self, req: falcon.Request, resp: falcon.Response, model: str, version: str | None = None) -> None:
        """Answer with an example of a request and what the form must know beyond the model's metadata."""
        server: Server = req.context.server
        metadata = server.metadata(model, version)
        answer: dict[str, Any] = {
            **self._examples.of(metadata, version),
            "answers": metadata.answers,
            "streams": metadata.streams,
            "base64": sorted(metadata.base64),
            "missing_values": metadata.missing_values,
        }
        resp.data = orjson.dumps(answer)

    on_head = on_get


def _send(req: falcon.Request, resp: falcon.Response, content: bytes, content_type: str) -> None:
    """Answer with a file, or with 304 where the browser has it already; it asks each time, because srv may be updated."""
    tag = sha256(content).hexdigest()[:16]
    resp.etag = tag
    resp.set_header("Cache-Control", "no-cache")
    resp.set_header("Content-Security-Policy", POLICY)
    resp.set_header("Referrer-Policy", "no-referrer")
    if any(known in ("*", tag) for known in req.if_none_match or ()):
        resp.status = falcon.HTTP_304
        return
    resp.content_type = content_type
    resp.data = content
