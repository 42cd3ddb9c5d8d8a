"""The middleware of every request: its id, its headers as runtimes may see them, its line in the access log."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, ItemsView, Iterator, Mapping
from functools import partial
from typing import Any

import falcon

from srv.access_log import ACCESS, access_log
from srv.cancellation import NOBODY, Caller
from srv.hookspecs import Server
from srv.planes.request_ids import request_id
from srv.rest.logged_stream import LoggedStream

#: Credentials, which reach hooks and runtimes only where settings say so.
HIDDEN = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key"})

#: Headers that have names of their own in the environ.
_OWN_NAMES = ("CONTENT_TYPE", "CONTENT_LENGTH")


class RequestHeaders(Mapping[str, str]):
    """A request's headers by lower-case name, without the hidden ones; each is read from the environ on demand."""

    def __init__(self, environ: Mapping[str, Any], hidden: Collection[str] = HIDDEN) -> None:
        self._environ = environ
        self._hidden = hidden

    def __getitem__(self, name: str) -> str:
        lowered = name.lower()
        if lowered in self._hidden:
            raise KeyError(name)
        key = lowered.upper().replace("-", "_")
        value: str = self._environ[key if key in _OWN_NAMES else f"HTTP_{key}"]
        return value

    def __iter__(self) -> Iterator[str]:
        for key in self._environ:
            if key.startswith("HTTP_"):
                name = key[5:].lower().replace("_", "-")
                if name not in self._hidden:
                    yield name
            elif key in _OWN_NAMES:
                yield key.lower().replace("_", "-")

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def items(self) -> ItemsView[str, str]:
        """Return all of them at once, which takes a fraction of what one after the other does."""
        found = {key[5:].lower().replace("_", "-"): value for key, value in self._environ.items() if key[:5] == "HTTP_"}
        for key in _OWN_NAMES:
            if key in self._environ:
                found[key.lower().replace("_", "-")] = self._environ[key]
        for name in self._hidden:
            found.pop(name, None)
        return found.items()


class EveryRequest:
    """Falcon middleware that gives each answer the request's id and writes the access log's line. Never blocks."""

    srv_nonblocking = True

    def __init__(self, server: Server | None = None) -> None:
        self._server = server

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Take the client's id, or make one; give plugins' middleware the server that they may ask."""
        identity = request_id(req.env.get("HTTP_X_REQUEST_ID"))
        context = req.context
        context.taken = now = time.monotonic()
        received = req.env.get("srv.received")
        if received is None:  # srv's own worker says it of every response
            resp.set_header("X-Content-Type-Options", "nosniff")
        context.started = received or now
        context.id = req.env["HTTP_X_REQUEST_ID"] = identity
        context.server = self._server
        resp.set_header("X-Request-Id", identity)

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        """Write the access log's line, where there is one; that of a stream comes at its end. Add OPTIONS to an answer to it.

        srv's own worker writes it once it knows that it sends this answer, and none of its own in place of it.
        """
        if req.method == "OPTIONS":
            _name_options(resp)
        if not ACCESS.isEnabledFor(logging.INFO):
            return
        stream: object = resp.stream
        if stream is None or isinstance(stream, list) or req.method == "HEAD":
            if req.env.get("srv.received") is None:  # another HTTP worker
                _write_line(req, resp)
            else:
                caller: Caller = req.env["srv.caller"]
                caller.log_line = partial(_write_line, req, resp)
        else:
            resp.stream = LoggedStream(stream, partial(_write_line, req, resp))


def _name_options(resp: falcon.Response) -> None:
    """Name OPTIONS among the methods that Falcon's own answer to it allows, as its answers to other methods do."""
    allowed = resp.get_header("Allow")
    if allowed and "OPTIONS" not in allowed:
        resp.set_header("Allow", f"{allowed}, OPTIONS")


def _write_line(req: falcon.Request, resp: falcon.Response, ended_by: str | None = None) -> None:
    """Write the line of one answer, and the code of what ended it before its end, unless another one was sent."""
    if req.env.get("srv.caller", NOBODY).replaced:
        return
    context = req.context
    access_log(
        req.method,
        req.path,
        falcon.http_status_to_code(resp.status),
        time.monotonic() - context.started,
        context.id,
        model=context.get("model"),
        outcome=ended_by or resp.context.get("code"),
        stages=context.get("stages"),
    )
