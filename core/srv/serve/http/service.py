"""Runs the app for an exchange and writes its answer, in whichever thread that is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from srv.serve.http.answers import (
    SMALL,
    Answer,
    Heads,
    as_buffers,
    bodiless_length,
    checked_length,
    connection_line,
)
from srv.serve.http.connection import Buffer
from srv.serve.http.custody import Custody
from srv.serve.http.environ import Environ, environ_of
from srv.serve.http.exchange import Exchange, Switches
from srv.serve.http.followers import Followers
from srv.serve.http.limits import Limits
from srv.serve.http.refusals import AppFailed, StreamsOverflow
from srv.serve.http.streams import StreamWriter, ahead
from srv.streams import StreamCount, StreamPlace

log = logging.getLogger(__name__)

App = Callable[[Environ, Callable[..., object]], Iterable[Buffer]]


class Service:
    """Answers exchanges. Two things happen to each: it is answered at most once, and handed back exactly once."""

    def __init__(
        self,
        app: App,
        limits: Limits,
        *,
        followers: Followers,
        custody: Custody,
        heads: Heads,
        common: Environ,
        streams: StreamCount,
        switches: Switches,
        step_aside: Callable[[Exchange], bool],
    ) -> None:
        self._heads = heads
        self._app = app
        self._limits = limits
        self._followers = followers
        self._common = common
        self._streams = streams
        self._switches = switches
        self._step_aside = step_aside
        self._custody = custody

    def run(self, exchange: Exchange) -> None:
        """Answer one exchange with what the app says; never raises what the app raised.

        Where its answer may wait, it can be left in the exchange, for the caller to send.
        """
        environ = environ_of(exchange, self._common)
        answer = Answer()
        result: Iterable[Buffer] = ()
        try:
            result = self._app(environ, answer.start)
            if type(result) is list and not answer.written:
                self._answer(exchange, answer, result)
            else:
                self._answer_iterable(exchange, answer, result)
        except BaseException as error:  # noqa: BLE001 - an app's failure is an answer, also a CancelledError or an exit
            self._fail(exchange, error)
        finally:
            if type(result) is not list and (close := getattr(result, "close", None)) is not None:
                self._close(close, exchange)

    def _answer(self, exchange: Exchange, answer: Answer, result: list[Buffer]) -> None:
        """Answer with a body that is all there. Raises Unsendable."""
        if len(result) == 1 and type(result[0]) is bytes:
            parts = result
            size = len(result[0])
        else:
            parts = as_buffers(result)
            size = sum(map(len, parts))
        request = exchange.head
        lines, length, closes = self._heads.read(answer)
        closing = closes or self._switches.draining or not request.keep_alive
        if answer.bodiless(request.method):
            framing = bodiless_length(answer, length, size)
            parts, size = [], 0
        else:
            framing = checked_length(length, size)
        if closing or not request.version:
            framing += connection_line(request, closing=closing)
        head = self._heads.close(lines, framing + "\r\n")
        if self._followers.may_answer(exchange):
            exchange.connection.closing = closing
            # In one buffer where it is small, because a copy is cheaper than a second buffer.
            exchange.answer = [b"".join((head, *parts))] if size <= SMALL else [head, *parts]
            if exchange.may_wait and len(exchange.answer) == 1:  # what is small enough for one buffer
                return
        self.send(exchange)

    def send(self, exchange: Exchange) -> None:
        """Send the answer of an exchange, if it is its thread's to send, and hand the exchange back."""
        if exchange.answer:
            parts, exchange.answer = exchange.answer, []
            try:
                exchange.connection.send(parts)
            except OSError:
                exchange.connection.lost = True
        self._custody.hand_back(exchange)

    def _answer_iterable(self, exchange: Exchange, answer: Answer, result: Iterable[Buffer]) -> None:
        """Answer with a body that comes in pieces, as a stream unless they are all there."""
        if isinstance(result, list | tuple):
            self._answer(exchange, answer, [*answer.written, *result])
        elif (self._followers.sprint is exchange and not self._step_aside(exchange)) or not self._streams.enter():
            self._custody.refuse_exchange(exchange, StreamsOverflow(self._streams.most))
        else:
            place = StreamPlace(self._streams)
            try:
                # The place is free before the last bytes are out: whoever has read them may open the next stream.
                self._stream(exchange, answer, leaving(place, ahead(pieces_of(answer, result))))
            finally:
                place.leave()

    def _stream(self, exchange: Exchange, answer: Answer, pieces: Iterator[Buffer]) -> None:
        """Write pieces as they come. Raises what the app raised before its first piece, and Unsendable."""
        request = exchange.head
        lines, length, closes = self._heads.read(answer)
        bodiless = answer.bodiless(request.method)
        chunked = length is None and not bodiless and request.version == 1
        ends_by_closing = length is None and not bodiless and not chunked
        closing = closes or ends_by_closing or self._switches.draining or not request.keep_alive
        framing = connection_line(exchange.head, closing=closing)
        framing += "Transfer-Encoding: chunked\r\n" if chunked else ""
        framing += "" if length is None else f"Content-Length: {length}\r\n"
        head = self._heads.close(lines, framing + "\r\n")
        sent = 0
        if self._followers.may_answer(exchange):
            sent = self._write(exchange, head, iter(()) if bodiless else pieces, chunked=chunked)
            exchange.connection.closing = closing
            if length is not None and not bodiless and str(sent) != length:
                exchange.connection.lost = True
        self._custody.hand_back(exchange)

    def _write(self, exchange: Exchange, head: bytes, pieces: Iterator[Buffer], *, chunked: bool) -> int:
        connection = exchange.connection
        writer = StreamWriter(connection, head, chunked=chunked, patience=self._limits.body_timeout)
        try:
            writer.write(pieces)
        except OSError:
            connection.lost = True
        except BaseException:
            connection.lost = True
            log.exception("The answer to %s broke off.", exchange.head.path)
        return writer.sent

    def _fail(self, exchange: Exchange, error: BaseException) -> None:
        log.error("The answer to %s %s failed.", exchange.head.method, exchange.head.path, exc_info=error)
        self._custody.refuse_exchange(exchange, AppFailed())

    def _close(self, close: Callable[[], Any], exchange: Exchange) -> None:
        try:
            close()
        except BaseException:
            log.exception("Closing the answer to %s failed.", exchange.head.path)


def leaving(place: StreamPlace, pieces: Iterator[Buffer]) -> Iterator[Buffer]:
    """The same pieces, and the stream's place is left after the last."""
    yield from pieces
    place.leave()


def pieces_of(answer: Answer, result: Iterable[Buffer]) -> Iterator[Buffer]:
    """What the app wrote before it returned, then what it returned, each as bytes."""
    yield from answer.written
    for piece in result:
        yield from as_buffers([piece])
