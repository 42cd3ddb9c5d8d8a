"""gunicorn's threaded worker, the fallback where srv's own cannot run."""

from __future__ import annotations

import contextlib
import ssl
import time
from http import HTTPStatus
from typing import Any

from gunicorn.http import errors

from srv.access_log import access_log
from srv.busy_threads import BusyThreads
from srv.cancellation import Caller
from srv.planes.request_ids import request_id
from srv.serve.gunicorn_internals import ThreadWorker, lacks, write_nonblock
from srv.serve.http import errors as http_errors

#: A fault may quote what came; no more of it is told than this.
_LONGEST_FAULT = 120

#: What gunicorn's worker has not of what is used here to take in, at a stop, those who wait to be accepted.
_LACKS = lacks(ThreadWorker, ("accept", "set_accept_enabled"), sets=("_accepting", "nr_conns"))


class GthreadWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Counts its responses, refuses requests with srv's own errors, and accepts waiting connections before it stops."""

    wsgi: Any

    #: Whether clients are not accepted yet.
    held = False

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Answer one request."""
        # gunicorn bounds each header, and all of them only by their number; blanks around values are not counted.
        size = len(req.uri) + sum(len(name) + len(value) + len(": \r\n") for name, value in req.headers)
        if size > self.cfg.limit_request_field_size:
            raise errors.LimitRequestHeaders("limit request headers fields size")
        try:
            return super().handle_request(req, conn)
        finally:
            self.busy.end()
            self.answered()

    def load_wsgi(self) -> None:
        """Make the app, and have each request known by its thread."""
        super().load_wsgi()
        app = self.wsgi
        self.busy = BusyThreads()

        def enter(environ: Any, start_response: Any) -> Any:
            caller = environ["srv.caller"] = Caller(time.monotonic())
            self.busy.begin(caller)
            return app(environ, start_response)

        self.wsgi = enter

    @property
    def threads(self) -> int:
        """Return how many requests may run at once."""
        return int(self.tpool._max_workers)

    @property
    def face(self) -> GthreadWorker:
        """The threads that run requests, for whoever looks after them."""
        return self

    def leader_looked(self) -> None:
        """Return None: the main thread itself waits for connections."""

    def grow(self, threads: int) -> None:
        """Have at least so many threads for requests from now on."""
        if hasattr(self.tpool, "_max_workers"):
            self.tpool._max_workers = max(self.tpool._max_workers, threads)  # where it looks with each submit

    def let_in(self) -> None:
        """Accept from now on."""
        self.held = False
        self.wake()

    def serves(self) -> None:
        """Called when clients can be answered."""

    def wake(self) -> None:
        """Make the main thread return from its wait, so that it runs the calls that wait for it."""
        if hasattr(self, "method_queue"):
            self.method_queue.defer(_look)

    def connections(self) -> int:
        """Return how many connections there are."""
        return int(self.nr_conns)

    def waiting(self) -> int:
        """Return how many requests wait for a thread."""
        queue = getattr(self.tpool, "_work_queue", None)
        return 0 if queue is None else int(queue.qsize())

    def answered(self) -> None:
        """Called when a request was answered."""

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:  # noqa: ARG002  gunicorn calls it so
        """Answer a request that the app has not answered."""
        if isinstance(exc, ssl.SSLError):
            return  # there is no way to say anything
        refused = refused_for(exc, self.cfg)
        if isinstance(refused, http_errors.AppFailed):
            self.log.error("Error handling a request.", exc_info=exc)
        given = dict(req.headers if req is not None else getattr(getattr(exc, "req", None), "headers", ()))
        identity = request_id(given.get("X-REQUEST-ID"))
        method, path = getattr(req, "method", None) or "-", getattr(req, "path", None) or "-"
        access_log(method, path, refused.status, 0, identity, outcome=refused.code, reason=str(refused))
        with contextlib.suppress(OSError):
            write_nonblock(client, _answer(refused, identity))

    def set_accept_enabled(self, enabled: bool) -> None:  # noqa: FBT001  gunicorn calls it so
        """Begin or stop accepting. A held worker does not begin; one that stops accepts the waiting connections first."""
        if enabled:
            self.serves()
        if enabled and self.held:
            return
        if not enabled and not self.alive and not _LACKS and self._accepting:
            for listener in self.sockets:
                while self._accepted_another(listener):
                    pass
        super().set_accept_enabled(enabled)

    def _accepted_another(self, listener: Any) -> bool:
        before = self.nr_conns
        self.accept(listener)
        return bool(self.nr_conns > before)


def _look() -> None:
    """Do nothing, so that the main thread runs the calls that wait for it."""


def refused_for(error: BaseException, cfg: Any) -> http_errors.Refused:
    """Return srv's own error for an error of gunicorn's parser."""
    if isinstance(error, (errors.InvalidResponseHeader, errors.InvalidResponseHeaderName)):
        return http_errors.AppFailed()
    if isinstance(error, errors.LimitRequestLine):
        return http_errors.TargetTooLong(cfg.limit_request_line)
    if isinstance(error, errors.LimitRequestHeaders):
        # gunicorn has one class for both, and says "limit request headers fields" where there are too many.
        too_many = str(error).endswith("fields")
        return (
            http_errors.TooManyHeaders(cfg.limit_request_fields)
            if too_many
            else http_errors.HeadersTooLarge(cfg.limit_request_field_size)
        )
    if isinstance(error, errors.UnsupportedTransferCoding):
        return http_errors.NotBuilt("transfer coding", str(error.hdr))
    if isinstance(error, errors.InvalidHTTPVersion):
        return http_errors.VersionUnknown(str(error.version))
    if isinstance(error, errors.ExpectationFailed):
        return http_errors.ExpectationUnknown(str(error.expect))
    if isinstance(error, errors.ParseException) and not isinstance(error, errors.ConfigurationProblem):
        return http_errors.BrokenRequest(_fault(error))
    return http_errors.AppFailed()


def _fault(error: BaseException) -> str:
    text = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in str(error))
    return text if len(text) <= _LONGEST_FAULT else text[: _LONGEST_FAULT - 1] + "…"


def _answer(refused: http_errors.Refused, request_id: str) -> bytes:
    body = http_errors.body_of(refused)
    status = HTTPStatus(refused.status)
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nX-Request-Id: {request_id}\r\nX-Content-Type-Options: nosniff\r\n\r\n"
    )
    return head.encode("latin-1") + body
