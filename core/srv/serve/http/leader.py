"""The leader: the loop of the thread that leads, which accepts and reads, starts requests, and ends what is late."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections import deque
from collections.abc import Callable
from enum import Enum
from http import HTTPStatus
from threading import get_ident

from srv.logs import safely
from srv.serve.http.acceptor import Acceptor
from srv.serve.http.app_runner import AppRunner
from srv.serve.http.connections import Connection, Exchange, Step
from srv.serve.http.errors import AppFailed, QueueOverflow, Refused
from srv.serve.http.handshakes import shake_hands
from srv.serve.http.idle import ROOM_BEAT, Room
from srv.serve.http.poller import GONE, LEFT, READ
from srv.serve.http.reader import PIECE, ConnectionReader
from srv.serve.http.scheduler import ExchangePlace, Scheduler
from srv.serve.http.watchdog import Watchdog

log = logging.getLogger(__name__)

#: The leader looks around this often even if nothing happens.
LONGEST_WAIT = 1.0
LIVE_PATH = "/v2/health/live"
LIVE = json.dumps({"live": True}).encode()
READING = (Step.HEAD, Step.BODY, Step.CHUNKS)  # no set, because an enum's hash is a call

#: So many requests are read before the first of them is run, and their responses go out together, because code that
#: runs again at once runs out of the processor's caches: eight requests take a fifth less than one at a time.
TOGETHER = 8
#: After so many failures one behind the other, the thread that leads makes a pause of so many seconds before it goes on.
FAILURES_AT_ONCE = 8
PAUSE = 0.1
#: A response waits for others until this long after its request, and for the end of what runs then.
HOLD = 0.001


class Lead(Enum):
    """What became of the lead while a request was started."""

    KEPT = 1
    GIVEN = 2  # to whoever takes it: the caller runs the request
    LOST = 3  # to another thread: the caller has run the request


class Leader:
    """The loop of the thread that leads. Its state is used by that thread only."""

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        acceptor: Acceptor,
        reader: ConnectionReader,
        runner: AppRunner,
        watchdog: Watchdog,
    ) -> None:
        self._scheduler = scheduler
        self._acceptor = acceptor
        self._reader = reader
        self._runner = runner
        self._watchdog = watchdog
        self._started = runner.app.started
        self._nonblocking = runner.app.nonblocking
        self._limits = scheduler.limits
        self._poller = scheduler.poller
        self._connections = scheduler.table.connections
        self._room = Room(self._limits.max_connections, scheduler, acceptor)
        self._events: deque[tuple[int, int]] = deque()
        self._ready: deque[Exchange] = deque()  # complete, and not begun
        self._unsent: deque[Exchange] = deque()  # answered, and not sent
        #: Begun by a thread that led and waits since, for something that has come; and what has it go on.
        self._resumed: deque[tuple[Exchange, Callable[[], object]]] = deque()
        self._watching = False
        #: Whether the thread that leads has just gone on. It takes one more request, if one is there, before the next
        #: thread goes on: should that wait as well, the lead goes straight to the next.
        self._has_resumed = False
        #: Whether all who had come when the worker began to drain are in, and nobody else will be.
        self.acceptor_closed = False
        #: When the thread that leads has last looked around and waited, on the monotonic clock.
        self.looked = time.monotonic()
        #: When it was last told what has happened; that is dealt with before the next look at the deadlines.
        self._told = self.looked

    def lead(self) -> Exchange | None:
        """Lead until a request comes that may block; the lead is free then, and that request is returned.

        None where the lead was lost, or given back to a thread that had lost it, and nothing waits, or the server has
        stopped.
        """
        scheduler = self._scheduler
        failures = 0
        while not scheduler.stopped:
            exchange = None
            try:
                if self._unsent and (not self._ready or time.monotonic() - self._unsent[0].received > HOLD):
                    self._send_answers()
                if self._resumed and not self._ready and not self._has_resumed and self._return_lead(None):
                    return None
                self._has_resumed = False
                exchange = self._await_request()
                lead = self._start(exchange) if exchange is not None else Lead.KEPT
                failures = 0
            except BaseException:  # noqa: BLE001  whatever it is, somebody must go on leading
                safely(log.exception, "The thread that leads failed, and goes on.")
                lead = self._not_started(exchange) if exchange is not None else Lead.KEPT
                failures += 1
                if failures > FAILURES_AT_ONCE:  # such as where a model has closed what is waited on
                    time.sleep(PAUSE)
            if lead is Lead.GIVEN:
                scheduler.release_lead()
                return exchange
            if lead is Lead.LOST:
                assert exchange is not None
                return scheduler.next(exchange)
        self._send_answers()
        self._wake_all()
        scheduler.release_lead()
        return None

    def _not_started(self, exchange: Exchange) -> Lead:
        """Answer what could not be started; whether this thread leads still."""
        self._scheduler.fail(exchange, AppFailed())
        self._scheduler.end_inline(exchange)
        return Lead.KEPT if self._scheduler.leader == get_ident() else Lead.LOST

    def _await_request(self) -> Exchange | None:
        """Deal with what happens until a request is complete; None once a thread may go on, or the server is to stop."""
        events, ready = self._events, self._ready
        while not self._scheduler.stopped:
            if ready:
                return ready.popleft()
            if not events:
                self._look_around()
            while events and len(ready) < TOGETHER:
                self._deal_with(*events.popleft())
            if self._resumed and not ready:
                return None
        return None

    def _deal_with(self, descriptor: int, happened: int) -> None:
        """Accept clients, or do what a connection is ready for."""
        connection = self._connections.get(descriptor)
        if connection is None:
            self._admit(descriptor)
            return
        exchange = self._attend(connection, happened)
        if exchange is not None:
            connection.exchange = exchange
            self._ready.append(exchange)

    def _attend(self, connection: Connection, happened: int) -> Exchange | None:
        """Do what a connection is ready for; a request if that is complete now."""
        if connection.exchange is not None and self._scheduler.put_aside(
            connection, left=bool(happened & (LEFT | GONE))
        ):
            return None
        try:
            if connection.step in READING:
                return self._read(connection)
            if connection.step is Step.WRITING:
                self._scheduler.flush(connection)
            elif connection.step is Step.HANDSHAKE:
                self._shake_hands(connection)
            elif happened & GONE or connection.receive(PIECE) == b"":
                self._scheduler.discard(connection)
        except Refused as refused:
            self._scheduler.refuse(connection, refused)
        except OSError:
            self._scheduler.discard(connection)
        except BaseException:  # noqa: BLE001  no connection may end the thread that leads
            safely(log.exception, "A connection failed in the worker.")
            self._scheduler.discard(connection)
        return None

    def _read(self, connection: Connection) -> Exchange | None:
        if connection.received and not connection.searched and connection.step is Step.HEAD:
            data, connection.received = connection.received, b""
            exchange = self._reader.advance(connection, data)
        else:
            exchange = self._reader.take(connection)
        if exchange is None:
            self._await_rest(connection)
        return exchange

    def _await_rest(self, connection: Connection) -> None:
        """Give a request that is not complete a deadline; a body gets a new one with each piece, up to its last one."""
        now = time.monotonic()
        if connection.step is not Step.HEAD:
            self._scheduler.set_deadline(connection, min(now + self._limits.body_timeout, connection.body_until))
        elif connection.received and connection.begun != connection.served:
            connection.begun = connection.served
            self._scheduler.set_deadline(connection, now + self._limits.header_timeout)

    def _start(self, exchange: Exchange) -> Lead:
        """Run a request here and now if it is quick or cannot block, or find it a place."""
        head = exchange.head
        self._started()
        if head.path == LIVE_PATH and head.method in ("GET", "HEAD"):
            self._scheduler.answer(exchange, HTTPStatus.OK, LIVE)
            return Lead.KEPT
        if self._nonblocking(head.method, head.path):
            return self._run_inline(exchange)
        if self._scheduler.has_idle_thread() and self._watchdog.paces.quick(head.path):
            return self._try(exchange)
        self._send_answers()  # before the lead is given away
        place = self._scheduler.place(exchange)
        if place is ExchangePlace.NOWHERE:
            self._scheduler.fail(exchange, QueueOverflow(self._limits.max_queue))
        return Lead.GIVEN if place is ExchangePlace.RUN else Lead.KEPT

    def _try(self, exchange: Exchange) -> Lead:
        """Run a request that has been quick so far, and remember how quick it was this time."""
        path = exchange.head.path
        paces = self._watchdog.paces
        suspect = paces.suspects(path)
        runs = self._scheduler.inline_runs
        computed = -time.thread_time() if suspect else 0.0
        began = time.monotonic()
        lead = self._run_inline(exchange)
        if lead is Lead.KEPT and self._scheduler.inline_runs == runs + 1:  # else it has waited in between
            seconds = time.monotonic() - began
            paces.ran(path, seconds, computed=computed + time.thread_time() if suspect else 0.0)
        return lead

    def _run_inline(self, exchange: Exchange) -> Lead:
        """Run a request while leading, unless that takes so long that another thread leads meanwhile."""
        scheduler = self._scheduler
        exchange.may_wait = bool(self._ready or self._unsent)
        exchange.leader = self
        scheduler.begin_inline(exchange)
        if self._watchdog.sleeps:
            self._watchdog.wake()
        self._runner.run(exchange)
        if scheduler.end_inline(exchange):
            if exchange.answer:
                self._unsent.append(exchange)
            return Lead.KEPT
        if exchange.answer:  # it is this thread's alone, because the lead is another's
            self._runner.send(exchange)
        return Lead.LOST

    def give_way(self, exchange: Exchange) -> None:
        """Have another thread lead, because what this one runs is about to wait; that says nothing of its pace.

        It is one that may go on itself, where there is one: then one change of threads does for both.
        """
        if self._scheduler.inline is exchange:
            while self._resumed:
                if self._return_lead(exchange):
                    return
            self._scheduler.take_lead(exchange)

    def resume(self, exchange: Exchange, wake: Callable[[], object]) -> None:
        """Have a thread go on that gave way, as the leader: so only one of all these wants the interpreter at a time."""
        self._resumed.append((exchange, wake))
        if self._scheduler.stopped:
            self._wake_all()
        elif self._watching:
            self._poller.wake()

    def _return_lead(self, instead: Exchange | None) -> bool:
        """Have the thread go on that may first, with the lead if it can have that; whether it has."""
        try:
            exchange, wake = self._resumed.popleft()
        except IndexError:  # the lead was taken from this thread, and another one was quicker
            return False
        returned = self._scheduler.return_lead(exchange, instead)
        self._has_resumed = returned
        if returned and self._watchdog.sleeps:
            self._watchdog.wake()
        wake()
        return returned

    def _wake_all(self) -> None:
        """Let everybody go on without the lead, because nobody will have it any more."""
        with contextlib.suppress(IndexError):
            while True:
                _, wake = self._resumed.popleft()
                wake()

    def _send_answers(self) -> None:
        """Send what waits to be sent."""
        while self._unsent:
            self._runner.send(self._unsent.popleft())

    def _admit(self, descriptor: int) -> None:
        """Let in who waits at a listener, if that is what the event meant."""
        if descriptor in self._acceptor:
            most = self._limits.max_connections
            room = most - len(self._connections)
            for connection in self._acceptor.admit(descriptor, min(room, self._acceptor.at_once)):
                self._scheduler.adopt(connection)
            self._acceptor.give_way()
            if len(self._connections) >= most:
                self._acceptor.shut()

    def _look_around(self) -> None:
        """Deal with deadlines and listeners, then wait for something to happen."""
        now = time.monotonic()
        scheduler = self._scheduler
        if scheduler.draining and not self.acceptor_closed:
            self._close_acceptor(now)
        elif not self.acceptor_closed:
            if len(self._connections) >= self._limits.max_connections:
                self._room.make(now)
            if len(self._connections) < self._limits.max_connections:
                self._acceptor.open()
        # As of then, because a machine that stalls makes nobody late whose bytes have come in time and wait to be read.
        wait = scheduler.expire(self._told) - (now - self._told)
        if not self.acceptor_closed and len(self._connections) >= self._limits.max_connections:
            wait = min(wait, ROOM_BEAT)
        # Those with requests behind each other take turns with all the others.
        returned = scheduler.table.returned
        again = [(returned.popleft().descriptor, 0) for _ in range(len(returned))]
        if again:
            wait = 0.0
        self._watching = True
        if self._resumed:  # looked at after the line above, as `resume` does it the other way round
            wait = 0.0
        self._events.extend(self._poller.wait(max(0.0, min(wait, LONGEST_WAIT))))
        self._told = time.monotonic()
        self._watching = False
        self._events.extend(again)
        self.looked = now  # last, so that who only fails at it does not count as looking

    def _close_acceptor(self, now: float) -> None:
        """Let in who has come already, nobody else; who asks for nothing has a last chance to."""
        for connection in self._acceptor.close():
            self._scheduler.adopt(connection)
        self.acceptor_closed = True
        self._scheduler.last_chance(now)

    def _shake_hands(self, connection: Connection) -> None:
        """Go on with TLS's handshake as far as that goes without waiting."""
        waits_for = shake_hands(connection, self._scheduler.handshake_failed)
        if waits_for is None:
            connection.step = Step.HEAD
        self._scheduler.watch(connection, waits_for or READ)
