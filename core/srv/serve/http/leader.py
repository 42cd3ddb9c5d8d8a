"""The loop of the thread that leads: who is let in, what is read, what is run where, and when time is up."""

from __future__ import annotations

import contextlib
import json
import logging
import ssl
import time
from collections import deque
from collections.abc import Callable
from enum import Enum
from http import HTTPStatus

from srv.serve.http.connection import Connection, Step
from srv.serve.http.custody import LAST_CHANCE, Custody
from srv.serve.http.doors import Doors
from srv.serve.http.exchange import Exchange, Switches
from srv.serve.http.followers import Followers, Place
from srv.serve.http.limits import Limits
from srv.serve.http.reception import PIECE, Reception
from srv.serve.http.refusals import QueueOverflow, Refused, RequestTooSlow, TooLate
from srv.serve.http.relief import Paces, Relief
from srv.serve.http.service import Service
from srv.serve.http.watch import GONE, LEFT, READ, WRITE, Watch

log = logging.getLogger(__name__)

#: The leader looks around this often even if nothing happens.
LONGEST_WAIT = 1.0
LIVE_PATH = "/v2/health/live"
LIVE = json.dumps({"live": True}).encode()
READING = (Step.HEAD, Step.BODY, Step.CHUNKS)  # no set, because an enum's hash is a call

#: So many requests are read before the first of them is run, and their answers go out together, because code that
#: runs again at once runs out of the processor's caches: eight requests take a fifth less than one at a time.
TOGETHER = 8
#: An answer waits for others until this long after its request, and for the end of what runs then.
HOLD = 0.001

#: Whether a request, by method and path, cannot block, so that the leader may run it.
NonBlocking = Callable[[str, str], bool]


class Lead(Enum):
    """What became of the lead while a request was started."""

    KEPT = 1
    GIVEN = 2  # to whoever takes it: the caller runs the request
    LOST = 3  # to the relief: the caller has run the request


class Leader:
    """What the thread that holds the lead does. All its state is used with the lead held only."""

    def __init__(
        self,
        limits: Limits,
        *,
        doors: Doors,
        watch: Watch,
        reception: Reception,
        custody: Custody,
        service: Service,
        followers: Followers,
        switches: Switches,
        nonblocking: NonBlocking,
        started: Callable[[], object],
        paces: Paces,
        relief: Relief,
    ) -> None:
        self._limits = limits
        self._doors = doors
        self._watch = watch
        self._reception = reception
        self._custody = custody
        self._service = service
        self._followers = followers
        self._switches = switches
        self._nonblocking = nonblocking
        self._started = started
        self._paces = paces
        self._relief = relief
        self._events: deque[tuple[int, int]] = deque()
        self._ready: deque[Exchange] = deque()  # complete, and not begun
        self._unsent: deque[Exchange] = deque()  # answered, and not sent
        #: Begun by a thread that led and waits since, for something that has come; and what has it go on.
        self._resumed: deque[tuple[Exchange, Callable[[], object]]] = deque()
        self._watching = False
        #: Whether the thread that leads has just gone on. It takes one more request, if one is there, before the next
        #: thread goes on: should that wait as well, the lead goes straight to the next.
        self._goes_on = False
        #: Whether all who had come when the worker began to drain are in, and nobody else will be.
        self.doors_closed = False

    def lead(self) -> Exchange | None:
        """Lead, with the lead held, until a request comes that may block; the lead is free then, and that is returned.

        None where the lead was lost or lent and nothing waits, or the server has stopped.
        """
        while not self._switches.stopped:
            try:
                if self._unsent and (not self._ready or time.monotonic() - self._unsent[0].received > HOLD):
                    self._send_answers()
                if self._resumed and not self._ready and not self._goes_on and self._lend(None):
                    return None
                self._goes_on = False
                exchange = self._await_request()
                lead = self._start(exchange) if exchange is not None else Lead.KEPT
            except Exception:  # whatever it is, somebody must go on leading
                log.exception("The worker stumbled over a connection.")
                continue
            if lead is Lead.GIVEN:
                self._followers.lead.release()
                return exchange
            if lead is Lead.LOST:
                return self._followers.next()
        self._send_answers()
        self._rouse_all()
        self._followers.lead.release()
        return None

    def _await_request(self) -> Exchange | None:
        """Deal with what happens until a request is complete; None once a thread may go on, or the server is to stop."""
        events, ready = self._events, self._ready
        while not self._switches.stopped:
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
        """Let in who knocks, or do what a connection is ready for."""
        connection = self._custody.connections.get(descriptor)
        if connection is None:
            self._admit(descriptor)
            return
        exchange = self._attend(connection, happened)
        if exchange is not None:
            connection.exchange = exchange
            self._ready.append(exchange)

    def _attend(self, connection: Connection, happened: int) -> Exchange | None:
        """Do what a connection is ready for; a request if that is complete now."""
        if connection.exchange is not None:
            aside = self._custody.leave if happened & (LEFT | GONE) else self._custody.set_aside
            aside(connection)
            return None
        try:
            if connection.step in READING:
                return self._read(connection)
            if connection.step is Step.WRITING:
                self._custody.flush(connection)
            elif connection.step is Step.HANDSHAKE:
                self._shake_hands(connection)
            elif happened & GONE or connection.receive(PIECE) == b"":
                self._custody.discard(connection)
        except Refused as refused:
            self._custody.refuse(connection, refused)
        except OSError:
            self._custody.discard(connection)
        except Exception:
            log.exception("A connection failed in the worker.")
            self._custody.discard(connection)
        return None

    def _read(self, connection: Connection) -> Exchange | None:
        if connection.received and not connection.searched and connection.step is Step.HEAD:
            data, connection.received = connection.received, b""
            exchange = self._reception.advance(connection, data)
        else:
            exchange = self._reception.take(connection)
        if exchange is None:
            self._await_rest(connection)
        return exchange

    def _await_rest(self, connection: Connection) -> None:
        """A request has begun and is not complete: it gets a deadline, a body a new one with each piece."""
        now = time.monotonic()
        if connection.step is not Step.HEAD:
            self._custody.set_deadline(connection, now + self._limits.body_timeout)
        elif connection.received and connection.begun != connection.served:
            connection.begun = connection.served
            self._custody.set_deadline(connection, now + self._limits.header_timeout)

    def _start(self, exchange: Exchange) -> Lead:
        """Run a request here and now if it is quick or cannot block, or find it a place."""
        head = exchange.head
        self._started()
        if head.path == LIVE_PATH and head.method in ("GET", "HEAD"):
            self._custody.answer(exchange, HTTPStatus.OK, LIVE)
            return Lead.KEPT
        if self._nonblocking(head.method, head.path):
            return self._sprint(exchange)
        if self._followers.idle() and self._paces.quick(head.path):
            return self._try(exchange)
        self._send_answers()  # before the lead is given away
        self._custody.set_deadline(exchange.connection, exchange.received + self._limits.patience(head.path))
        place = self._followers.place(exchange)
        if place is Place.NOWHERE:
            self._custody.refuse_exchange(exchange, QueueOverflow(self._limits.max_queue))
        return Lead.GIVEN if place is Place.RUN else Lead.KEPT

    def _try(self, exchange: Exchange) -> Lead:
        """Run a request that has been quick so far, and remember how quick it was this time."""
        path = exchange.head.path
        suspect = self._paces.suspects(path)
        sprints = self._followers.sprints
        computed = -time.thread_time() if suspect else 0.0
        began = time.monotonic()
        lead = self._sprint(exchange)
        if lead is Lead.KEPT and self._followers.sprints == sprints + 1:  # else it has waited between two sprints
            seconds = time.monotonic() - began
            self._paces.ran(path, seconds, computed=computed + time.thread_time() if suspect else 0.0)
        return lead

    def _sprint(self, exchange: Exchange) -> Lead:
        """Run a request while leading, unless that takes so long that another thread leads meanwhile."""
        followers = self._followers
        exchange.may_wait = bool(self._ready or self._unsent)
        exchange.leader = self
        followers.begin_sprint(exchange)
        if self._relief.dozing:
            self._relief.call()
        self._service.run(exchange)
        if followers.sprint_ended(exchange):
            if exchange.answer:
                self._unsent.append(exchange)
            return Lead.KEPT
        if exchange.answer:  # it is this thread's alone, because the lead is another's
            self._service.send(exchange)
        return Lead.LOST

    def give_way(self, exchange: Exchange) -> None:
        """Have another thread lead, because what this one runs is about to wait; that says nothing of its pace.

        It is one that may go on itself, where there is one: then one change of threads does for both.
        """
        if self._followers.sprint is exchange:
            self._custody.set_deadline(exchange.connection, exchange.received + self._custody.patience(exchange))
            while self._resumed:
                if self._lend(exchange):
                    return
            self._followers.relieve(exchange)

    def resume(self, exchange: Exchange, rouse: Callable[[], object]) -> None:
        """Have a thread go on that gave way, as the leader: so only one of all these wants the interpreter at a time."""
        self._resumed.append((exchange, rouse))
        if self._switches.stopped:
            self._rouse_all()
        elif self._watching:
            self._watch.ring()

    def _lend(self, sprint: Exchange | None) -> bool:
        """Have the thread go on that may first, with the lead if it can have that; whether it has."""
        try:
            exchange, rouse = self._resumed.popleft()
        except IndexError:  # the lead was taken from this thread, and another one was quicker
            return False
        lent = self._followers.lend(exchange, sprint)
        self._goes_on = lent
        if lent and self._relief.dozing:
            self._relief.call()
        rouse()
        return lent

    def _rouse_all(self) -> None:
        """Let everybody go on without the lead, because nobody will have it any more."""
        with contextlib.suppress(IndexError):
            while True:
                _, rouse = self._resumed.popleft()
                rouse()

    def _send_answers(self) -> None:
        """Send what waits to be sent."""
        while self._unsent:
            self._service.send(self._unsent.popleft())

    def _admit(self, descriptor: int) -> None:
        """Let in who waits at the door, if that is what the event meant."""
        if descriptor in self._doors:
            room = self._limits.max_connections - len(self._custody.connections)
            for connection in self._doors.admit(descriptor, min(room, self._doors.at_once)):
                self._custody.adopt(connection)
            self._doors.give_way()
            if len(self._custody.connections) >= self._limits.max_connections:
                self._doors.shut()

    def _look_around(self) -> None:
        """Deal with deadlines and doors, then wait for something to happen."""
        now = time.monotonic()
        custody = self._custody
        if self._switches.draining and not self.doors_closed:
            self._close_doors(now)
        elif len(custody.connections) < self._limits.max_connections and not self.doors_closed:
            self._doors.open()
        with self._followers.guard:
            due = custody.deadlines.due(now)
            wait = custody.deadlines.next() - now
        for connection in due:
            self._expire(connection)
        # Those with requests behind each other take turns with all the others.
        returned = [(custody.returned.popleft().descriptor, 0) for _ in range(len(custody.returned))]
        if due or returned:
            wait = 0.0
        self._watching = True
        if self._resumed:  # looked at after the line above, as `resume` does it the other way round
            wait = 0.0
        self._events.extend(self._watch.wait(max(0.0, min(wait, LONGEST_WAIT))))
        self._watching = False
        self._events.extend(returned)

    def _close_doors(self, now: float) -> None:
        """Let in who has come already, nobody else; who asks for nothing has a last chance to."""
        for connection in self._doors.close():
            self._custody.adopt(connection)
        self.doors_closed = True
        for connection in list(self._custody.connections.values()):
            if connection.exchange is None and connection.step is Step.HEAD and not connection.received:
                self._custody.set_deadline(connection, now + LAST_CHANCE)

    def _expire(self, connection: Connection) -> None:
        """A connection's time is up."""
        exchange = connection.exchange
        custody = self._custody
        if exchange is not None:
            custody.overtake(exchange, TooLate(custody.patience(exchange)))
        elif connection.step is Step.HEAD and connection.received:
            custody.refuse(connection, RequestTooSlow("head", "header_timeout", self._limits.header_timeout))
        elif connection.step in (Step.BODY, Step.CHUNKS):
            custody.refuse(connection, RequestTooSlow("body", "body_timeout", self._limits.body_timeout))
        else:
            custody.discard(connection)

    def _shake_hands(self, connection: Connection) -> None:
        """One more step of TLS's handshake, as far as it goes without waiting."""
        assert isinstance(connection.socket, ssl.SSLSocket)
        try:
            connection.socket.do_handshake()
        except ssl.SSLWantReadError:
            self._watch.look_at(connection, READ)
        except ssl.SSLWantWriteError:
            self._watch.look_at(connection, WRITE)
        else:
            connection.step = Step.HEAD
            self._watch.look_at(connection, READ)
