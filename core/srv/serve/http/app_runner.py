"""Runs the app for exchanges and sends its responses, in whichever thread that is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from threading import get_ident
from typing import Any

from srv.busy_threads import BusyThreads
from srv.logs import safely
from srv.planes.limits import Lease, Limit
from srv.serve.http.connections import Buffer, Exchange
from srv.serve.http.errors import AppFailed, StreamsOverflow
from srv.serve.http.responses import (
    SMALL,
    AppResponse,
    ResponseHeads,
    as_buffers,
    bodiless_length,
    checked_length,
    connection_line,
)
from srv.serve.http.scheduler import Scheduler
from srv.serve.http.stream_writer import StreamWriter, ahead
from srv.serve.http.wsgi import Environ, WsgiApp, environ_of

log = logging.getLogger(__name__)


class AppRunner:
    """Runs the app for exchanges: each is answered at most once, and ended once."""

    def __init__(
        self,
        app: WsgiApp,
        scheduler: Scheduler,
        *,
        heads: ResponseHeads,
        common: Environ,
        streams: Limit,
        step_aside: Callable[[Exchange], bool],
    ) -> None:
        self.app = app
        self._call = app.call
        self._heads = heads
        self._common = common
        self._streams = streams
        self._step_aside = step_aside
        self._scheduler = scheduler
        #: The exchanges that threads run, the one that leads included.
        self.busy = BusyThreads()
        self._running = self.busy.running

    def run(self, exchange: Exchange) -> None:
        """Answer one exchange with what the app says. Raises nothing, whatever the app, its close or the log raises.

        Where its response may wait, it can be left in the exchange, for the caller to send.
        """
        answer = AppResponse()
        result: Iterable[Buffer] = ()
        thread = get_ident()
        self._running[thread] = exchange
        try:
            result = self._call(environ_of(exchange, self._common), answer.start)
            if type(result) is list and not answer.written:
                self._answer(exchange, answer, result)
            else:
                self._answer_iterable(exchange, answer, result)
        except BaseException as error:  # noqa: BLE001 - an app's failure is an answer, also a CancelledError or an exit
            self._fail(exchange, error)
        finally:
            if type(result) is not list and (close := getattr(result, "close", None)) is not None:
                self._close(close, exchange)
            self._running.pop(thread, None)

    def _answer(self, exchange: Exchange, answer: AppResponse, result: list[Buffer]) -> None:
        """Answer with a body that is all there. Raises UnsendableResponse."""
        if len(result) == 1 and type(result[0]) is bytes:
            parts = result
            size = len(result[0])
        else:
            parts = as_buffers(result)
            size = sum(map(len, parts))
        request = exchange.head
        lines, length, closes = self._heads.read(answer)
        closing = closes or self._scheduler.draining or not request.keep_alive
        if answer.bodiless(request.method):
            framing = bodiless_length(answer, length, size)
            parts, size = [], 0
        else:
            framing = checked_length(length, size)
        if closing or not request.version:
            framing += connection_line(request, closing=closing)
        head = self._heads.close(lines, framing + "\r\n")
        if self._scheduler.may_answer(exchange):
            if exchange.log_line is not None:
                self._log(exchange.log_line)
            exchange.connection.closing = closing
            # In one buffer where it is small, because a copy is cheaper than a second buffer.
            exchange.answer = [b"".join((head, *parts))] if size <= SMALL else [head, *parts]
            if exchange.may_wait and len(exchange.answer) == 1:  # what is small enough for one buffer
                return
        self.send(exchange)

    def send(self, exchange: Exchange) -> None:
        """Send the answer of an exchange, if it is its thread's to send, and end the exchange."""
        if exchange.answer:
            parts, exchange.answer = exchange.answer, []
            try:
                exchange.connection.send(parts)
            except OSError:
                exchange.connection.lost = True
        self._scheduler.finish(exchange)

    def _answer_iterable(self, exchange: Exchange, answer: AppResponse, result: Iterable[Buffer]) -> None:
        """Answer with a body that comes in pieces, as a stream unless they are all there."""
        if isinstance(result, list | tuple):
            self._answer(exchange, answer, [*answer.written, *result])
        elif not self._step_aside(exchange) or not (lease := self._streams.take()):
            self._scheduler.fail(exchange, StreamsOverflow(self._streams.most))
        else:
            try:
                # The lease ends before the last bytes are out: whoever has read them may open the next stream.
                self._stream(exchange, answer, releasing(lease, ahead(pieces_of(answer, result))))
            finally:
                lease.release()

    def _stream(self, exchange: Exchange, answer: AppResponse, pieces: Iterator[Buffer]) -> None:
        """Write pieces as they come. Raises what the app raised before its first piece, and UnsendableResponse."""
        request = exchange.head
        lines, length, closes = self._heads.read(answer)
        bodiless = answer.bodiless(request.method)
        chunked = length is None and not bodiless and request.version == 1
        ends_by_closing = length is None and not bodiless and not chunked
        closing = closes or ends_by_closing or self._scheduler.draining or not request.keep_alive
        framing = connection_line(exchange.head, closing=closing)
        framing += "Transfer-Encoding: chunked\r\n" if chunked else ""
        framing += "" if length is None else f"Content-Length: {length}\r\n"
        head = self._heads.close(lines, framing + "\r\n")
        sent = 0
        if self._scheduler.may_answer(exchange):
            if exchange.log_line is not None:
                self._log(exchange.log_line)
            sent = self._write(exchange, head, iter(()) if bodiless else pieces, chunked=chunked)
            exchange.connection.closing = closing
            if length is not None and not bodiless and str(sent) != length:
                exchange.connection.lost = True
        self._scheduler.finish(exchange)

    def _write(self, exchange: Exchange, head: bytes, pieces: Iterator[Buffer], *, chunked: bool) -> int:
        connection = exchange.connection
        writer = StreamWriter(connection, head, chunked=chunked, patience=self._scheduler.limits.body_timeout)
        try:
            writer.write(pieces)
        except OSError:
            connection.lost = True
        except BaseException:  # noqa: BLE001  an app may raise anything
            connection.lost = True
            safely(log.exception, "The answer to %s broke off.", exchange.head.path)
        return writer.sent

    def _log(self, line: Callable[[], object]) -> None:
        try:
            line()
        except BaseException:  # noqa: BLE001  a handler of the log may raise anything
            return

    def _fail(self, exchange: Exchange, error: BaseException) -> None:
        head = exchange.head
        safely(log.error, "The answer to %s %s failed.", head.method, head.path, exc_info=error)
        self._scheduler.fail(exchange, AppFailed())

    def _close(self, close: Callable[[], Any], exchange: Exchange) -> None:
        try:
            close()
        except BaseException:  # noqa: BLE001  an app may raise anything
            safely(log.exception, "Closing the answer to %s failed.", exchange.head.path)


def releasing(lease: Lease, pieces: Iterator[Buffer]) -> Iterator[Buffer]:
    """Yield the same pieces, and release the stream's lease after the last."""
    yield from pieces
    lease.release()


def pieces_of(answer: AppResponse, result: Iterable[Buffer]) -> Iterator[Buffer]:
    """Yield what the app wrote before it returned, then what it returned, each as bytes."""
    yield from answer.written
    for piece in result:
        yield from as_buffers([piece])
