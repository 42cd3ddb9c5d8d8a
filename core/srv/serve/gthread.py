"""gunicorn's threaded worker, the fallback where srv's own cannot run."""

from __future__ import annotations

import contextlib
import ssl
from http import HTTPStatus
from typing import Any

from gunicorn.http import errors
from gunicorn.util import write_nonblock
from gunicorn.workers.gthread import ThreadWorker

from srv.logs import access_log
from srv.serve.http import refusals

#: A fault may quote what came; no more of it is told than this.
_LONGEST_FAULT = 120


class GthreadWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Counts its answers, refuses in the contract's words, and takes in who has connected before it stops."""

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Answer one request."""
        try:
            return super().handle_request(req, conn)
        finally:
            self.answered()

    def grow(self, threads: int) -> None:
        """Have at least so many threads for requests from now on."""
        self.tpool._max_workers = max(self.tpool._max_workers, threads)  # where it looks with each submit

    def let_in(self) -> None:
        """Hold nobody back; it has not, from its first moment on."""

    def waiting(self) -> int:
        """How many requests wait for a thread."""
        return int(self.tpool._work_queue.qsize())

    def answered(self) -> None:
        """A request was answered."""

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:  # noqa: ARG002  gunicorn calls it so
        """Answer a request that the app has not answered."""
        if isinstance(exc, ssl.SSLError):
            return  # there is no way to say anything
        refused = refused_for(exc, self.cfg.limit_request_line)
        if isinstance(refused, refusals.AppFailed):
            self.log.error("Error handling a request.", exc_info=exc)
        given = dict(req.headers if req is not None else getattr(getattr(exc, "req", None), "headers", ()))
        request_id = refusals.request_id({"HTTP_X_REQUEST_ID": given.get("X-REQUEST-ID", "")})
        access_log(
            getattr(req, "method", None) or "-", getattr(req, "path", None) or "-", refused.status, 0, request_id
        )
        with contextlib.suppress(OSError):
            write_nonblock(client, _answer(refused, request_id))

    def set_accept_enabled(self, enabled: bool) -> None:  # noqa: FBT001  gunicorn calls it so
        """Begin or stop accepting; a stopping worker takes in those who wait to be accepted first."""
        if not enabled and not self.alive and self._accepting:
            for listener in self.sockets:
                while self._accepted_another(listener):
                    pass
        super().set_accept_enabled(enabled)

    def _accepted_another(self, listener: Any) -> bool:
        before = self.nr_conns
        self.accept(listener)
        return bool(self.nr_conns > before)


def refused_for(error: BaseException, longest_line: int) -> refusals.Refused:
    """What gunicorn's parser has against a request, in the contract's words."""
    if isinstance(error, (errors.InvalidResponseHeader, errors.InvalidResponseHeaderName)):
        return refusals.AppFailed()
    if isinstance(error, errors.LimitRequestLine):
        return refusals.TargetTooLong(longest_line)
    if isinstance(error, errors.LimitRequestHeaders):
        return refusals.HeadersTooLarge(_fault(error))
    if isinstance(error, errors.UnsupportedTransferCoding):
        return refusals.NotBuilt("transfer coding", str(error.hdr))
    if isinstance(error, errors.InvalidHTTPVersion):
        return refusals.VersionUnknown(str(error.version))
    if isinstance(error, errors.ExpectationFailed):
        return refusals.ExpectationUnknown(str(error.expect))
    if isinstance(error, errors.ParseException) and not isinstance(error, errors.ConfigurationProblem):
        return refusals.BrokenRequest(_fault(error))
    return refusals.AppFailed()


def _fault(error: BaseException) -> str:
    text = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in str(error))
    return text if len(text) <= _LONGEST_FAULT else text[: _LONGEST_FAULT - 1] + "…"


def _answer(refused: refusals.Refused, request_id: str) -> bytes:
    body = refusals.body_of(refused)
    status = HTTPStatus(refused.status)
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nX-Request-Id: {request_id}\r\n\r\n"
    )
    return head.encode("latin-1") + body
