"""What every request passes through: its id, its headers as runtimes may see them, the line in the access log."""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import falcon

from srv.hookspecs import Running
from srv.logs import ACCESS, access_log

_ID = re.compile(r"[\x21-\x7e]{1,128}")

#: Credentials, which reach hooks and runtimes only where settings say so.
HIDDEN = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key"})


class RequestHeaders(Mapping[str, str]):
    """A request's headers by lower-case name, without those that are hidden; read from the environ when asked for."""

    def __init__(self, environ: Mapping[str, Any], hidden: Collection[str] = HIDDEN) -> None:
        self._environ = environ
        self._hidden = hidden

    def __getitem__(self, name: str) -> str:
        lowered = name.lower()
        if lowered in self._hidden:
            raise KeyError(name)
        key = lowered.upper().replace("-", "_")
        value: str = self._environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"]
        return value

    def __iter__(self) -> Iterator[str]:
        for key in self._environ:
            if key.startswith("HTTP_"):
                name = key[5:].lower().replace("_", "-")
                if name not in self._hidden:
                    yield name
            elif key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                yield key.lower().replace("_", "-")

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Passage:
    """Falcon middleware that gives each answer the request's id and writes the access log's line. Never blocks."""

    srv_nonblocking = True

    def __init__(self, server: Running | None = None) -> None:
        self._server = server

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Take the client's id, or make one; give plugins' routes what they may ask of the server."""
        given = req.env.get("HTTP_X_REQUEST_ID")
        identity = given if given and _ID.fullmatch(given) else f"{random.getrandbits(128):032x}"
        context = req.context
        context.taken = now = time.monotonic()
        context.started = req.env.get("srv.received") or now  # srv's own worker knows since when
        context.id = identity
        context.server = self._server
        resp.set_header("X-Request-Id", identity)

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        """Write the access log's line, where there is one."""
        if not ACCESS.isEnabledFor(logging.INFO):
            return
        context = req.context
        access_log(
            req.method,
            req.path,
            falcon.http_status_to_code(resp.status),
            time.monotonic() - context.started,
            context.id,
            model=context.get("model"),
            outcome=resp.context.get("code"),
            stages=context.get("stages"),
        )
