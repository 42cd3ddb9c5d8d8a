"""The scheduler: all connections and exchanges of a worker, the threads that serve them, and all their transitions.

One guard protects all of it, and each transition is a method that runs whole under the guard. The threads are those of
Leader/Followers (POSA2): one leads, which waits for the sockets and reads them; the others rest or run exchanges.

    Connections                                         Exchanges

          adopt                                         complete request
            |                                                 |
            v                                                 v      no thread is free
        HANDSHAKE                                    +---- RUNNING ---------------------> WAITING
            |  (TLS only)                            |    |   ^                           |  |
            v                                        |    |   +------- a thread is free --+  |
    +-> HEAD, BODY, CHUNKS -- complete --> exchange  |    |                                  |
    |       |                                 |      |    +-- deadline --> TAKEN <-----------+
    |       | refused                         |      |                       |    deadline, or the client left
    |       v                                 |      | the thread            |
    |    settled  <------- exchange over -----+      | writes its response   | the leader has written another one
    |       |                                        v                       v
    |       +-- response not all sent --> WRITING  ANSWERING -------------> over: the connection is settled, once
    |       |                                |
    |       +-- to be closed ----------+     | all sent: settled
    +-------+-- kept                   v
            |                      LINGERING -- the client's end, or LINGER has passed --+
            +-- lost                                                                     v
                  +------------------------------------------------------------------> closed

A connection without an exchange is changed by the thread that leads alone. One with an exchange is changed only here;
that it has none any more is the last thing to be written. A connection is closed in one place, and afterwards neither
its socket nor its descriptor is touched. Bytes in flight, and threads that run exchanges, count by leases.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from enum import Enum
from http import HTTPStatus

from srv.planes.limits import Lease, Limit
from srv.serve.http.connection_table import ConnectionTable
from srv.serve.http.connections import Connection, Exchange, ExchangeState
from srv.serve.http.errors import AppFailed, CallerLeft, Refused, TooLate
from srv.serve.http.limits import Limits
from srv.serve.http.poller import LEFT

#: So many connections whose time is up are dealt with before other threads get the guard.
EXPIRED_AT_ONCE = 16


class ExchangePlace(Enum):
    """Where a request that may block goes."""

    RUN = 1
    WAIT = 2
    NOWHERE = 3


class Scheduler:
    """All connections and exchanges of a worker, and which thread leads.

    There is one thread more than may run exchanges, so that one can always lead. `lead` is locked while a thread leads.
    `inline` is the exchange that the leading thread runs itself at the moment: should that take long, the lead is taken
    from it. Each time that a thread begins or goes on to run something while leading is one of `inline_runs`.
    """

    def __init__(self, limits: Limits, table: ConnectionTable) -> None:
        self.limits = limits
        self.table = table
        self.poller = table.poller
        self.draining = False  # connections end with their present response
        self.stopped = False  # nobody leads any more
        self.waiting: OrderedDict[Exchange, None] = OrderedDict()
        self.threads = Limit(limits.threads)  # that run exchanges
        self.lead = threading.Lock()
        self.leader = 0  # the identifier of the thread that leads; 0 while the lead passes from one to the next
        self.inline: Exchange | None = None
        self.inline_runs = 0
        self._guard = threading.Lock()

    # -- connections without an exchange: called by the thread that leads --------------------------------------------

    def adopt(self, connection: Connection) -> None:
        """Take in a new connection."""
        with self._guard:
            self.table.adopt(connection)

    def watch(self, connection: Connection, mask: int) -> None:
        """Wait for this on the connection, and for nothing else."""
        with self._guard:
            self.poller.look_at(connection, mask)

    def set_deadline(self, connection: Connection, when: float) -> None:
        """Set when the time of the connection is up."""
        with self._guard:
            self.table.timers.set(connection, when)

    def refuse(self, connection: Connection, refused: Refused) -> None:
        """Answer what never became an exchange, and settle the connection."""
        with self._guard:
            self.table.refuse(connection, refused)
        self.table.write_log()

    def flush(self, connection: Connection) -> None:
        """Send on what a client was too slow for; raises OSError if it has left."""
        left = sum(map(len, connection.out))
        connection.flush()
        with self._guard:
            self.table.sent_more(connection, left)

    def discard(self, connection: Connection) -> None:
        """Close a connection without another word."""
        with self._guard:
            self.table.close(connection)

    def handshake_failed(self, connection: Connection, reason: str) -> None:
        """Log that the TLS handshake with a client failed."""
        self.table.handshake_failed(connection, reason)
        self.table.write_log()

    def expire(self, now: float) -> float:
        """Deal with the connections whose time is up; return how many seconds are left until the next one's."""
        timers = self.table.timers
        with self._guard:
            seconds = timers.next() - now
            if seconds > 0:
                return seconds
            for connection in timers.due(now, EXPIRED_AT_ONCE):
                exchange = connection.exchange
                if exchange is None:
                    self.table.expire(connection, now)
                else:
                    self._take_over(exchange, TooLate(self.patience(exchange)))
        self.table.write_log()
        return 0.0

    def drain(self) -> None:
        """Have each connection end with its present response; called by any thread."""
        self.draining = self.table.draining = True
        self.poller.wake()

    def last_chance(self, now: float) -> None:
        """Close every connection soon that asks for nothing, because the worker drains."""
        with self._guard:
            self.table.drain(now)

    def put_aside(self, connection: Connection, *, left: bool) -> bool:
        """Deal with what comes on a connection that has an exchange; False if it has none any more.

        What comes can wait, unless the client has left: then a waiting exchange never runs, and a running one is told.
        """
        with self._guard:
            exchange = connection.exchange
            if exchange is None:
                return False
            self.poller.look_at(connection, 0 if left else LEFT)
            if left and exchange.state is ExchangeState.WAITING:
                self._take_over(exchange, CallerLeft())
        if left:
            exchange.leave()
            self.table.write_log()
        return True

    # -- exchanges: called by the thread that runs them --------------------------------------------------------------

    def may_answer(self, exchange: Exchange) -> bool:
        """Return whether the response is this thread's to write; the leading thread may have written one instead."""
        with self._guard:
            if exchange.state is ExchangeState.RUNNING:
                exchange.state = ExchangeState.ANSWERING
                return True
        return False

    def finish(self, exchange: Exchange) -> None:
        """End an exchange: settle its connection, unless that was done in place of this thread."""
        if exchange.lease is not None:
            exchange.lease.release()
        connection = exchange.connection
        with self._guard:
            if connection.exchange is exchange:
                connection.served += 1
                self.table.settle(connection)
                connection.exchange = None  # last, because the thread that leads looks at this without the guard

    def fail(self, exchange: Exchange, refused: Refused) -> None:
        """Answer an exchange with a refusal and end it; a response that had begun breaks off."""
        with self._guard:
            if exchange.state is ExchangeState.RUNNING:
                exchange.state = ExchangeState.ANSWERING
                self.table.refuse_exchange(exchange, refused)
            elif exchange.connection.exchange is exchange:
                exchange.connection.lost = True
        self.finish(exchange)
        self.table.write_log()

    def answer(self, exchange: Exchange, status: HTTPStatus, body: bytes) -> None:
        """Answer an exchange with JSON that the worker knows itself, and end it."""
        with self._guard:
            exchange.state = ExchangeState.ANSWERING
            self.table.answer(exchange, status, f"{status.value} {status.phrase}", body)
        self.finish(exchange)
        self.table.write_log()

    def patience(self, exchange: Exchange) -> float:
        """Return how many seconds an exchange may take."""
        return self.limits.patience(exchange.head.path) if exchange.patience is None else exchange.patience

    def expect(self, exchange: Exchange, seconds: float) -> None:
        """Give an exchange so many seconds from when it was complete."""
        exchange.patience = seconds
        with self._guard:
            if exchange.state is ExchangeState.RUNNING and self._limit_time(exchange):
                self.poller.wake()

    # -- threads -----------------------------------------------------------------------------------------------------

    def has_idle_thread(self) -> bool:
        """Return whether a thread rests that could take the lead."""
        return self.threads.count < self.threads.most

    def place(self, exchange: Exchange) -> ExchangePlace:
        """RUN, and the caller runs it after giving the lead away; or it waits now; or there is no room for it."""
        with self._guard:
            self._limit_time(exchange)
            exchange.thread_lease = self.threads.take()
            if exchange.thread_lease is not None:
                return ExchangePlace.RUN
            if len(self.waiting) < self.limits.max_queue:
                exchange.state = ExchangeState.WAITING
                self.waiting[exchange] = None
                return ExchangePlace.WAIT
            return ExchangePlace.NOWHERE

    def next(self, exchange: Exchange) -> Exchange | None:
        """Return what the thread runs next that has run this exchange; None, and it rests."""
        with self._guard:
            lease, exchange.thread_lease = exchange.thread_lease, None
            if lease is None:
                return None
            if not self.waiting or self.threads.count > self.threads.most:
                lease.release()
                return None
            following, _ = self.waiting.popitem(last=False)
            following.state = ExchangeState.RUNNING
            following.thread_lease = lease
            return following

    def begin_inline(self, exchange: Exchange) -> None:
        """Note that the caller, who leads, runs this now."""
        self.inline_runs += 1
        self.inline = exchange

    def end_inline(self, exchange: Exchange) -> bool:
        """Return whether the caller, who has run this and led when it began, leads still or again."""
        with self._guard:
            exchange.lost_lead = False
            if self.inline is exchange:
                self.inline = None
                return True
            return False

    def take_lead(self, exchange: Exchange) -> bool:
        """Take the lead from the thread that runs this inline; False where it no longer does, or nobody rests.

        Whoever rests leads then; the thread itself learns of it at `end_inline`.
        """
        with self._guard:
            lease = self.threads.take() if self.inline is exchange else None
            if lease is None:
                return False
            self.inline = None
            self._lose_lead(exchange, lease)
            self.leader = 0
            if self._limit_time(exchange):
                self.poller.wake()
            self.lead.release()
        return True

    def return_lead(self, exchange: Exchange, instead: Exchange | None) -> bool:
        """Give the lead back to the thread that lost it while running `exchange`. True if that thread was still waiting.

        The caller leads, and runs `instead` on without the lead; where that is None, it rests.
        """
        with self._guard:
            if not exchange.lost_lead or self.inline is not instead or (instead is None and self.waiting):
                return False
            exchange.lost_lead = False
            lease, exchange.thread_lease = exchange.thread_lease, None
            if instead is not None:
                self._limit_time(instead)
                self._lose_lead(instead, lease)
            elif lease is not None:
                lease.release()
            self.leader = exchange.thread
            self.begin_inline(exchange)
        return True

    def release_lead(self) -> None:
        """Let whoever rests lead; called by the thread that leads."""
        self.leader = 0
        self.lead.release()

    def recover_lead(self, leader: int) -> None:
        """Let whoever rests lead, because the thread that led, or was about to, has died."""
        with self._guard:
            if self.leader == leader and self.lead.locked():
                self.inline = None
                self.leader = 0
                self.lead.release()

    def abandon(self, exchange: Exchange) -> Exchange | None:
        """End an exchange whose thread has failed outside the app; return what the thread runs next."""
        self.fail(exchange, AppFailed())
        return self.next(exchange)

    # -- under the guard ---------------------------------------------------------------------------------------------

    def _limit_time(self, exchange: Exchange) -> bool:
        """Set the deadline of an exchange; True if a timer fires sooner than it would have."""
        return self.table.timers.set(exchange.connection, exchange.received + self.patience(exchange))

    def _lose_lead(self, exchange: Exchange, lease: Lease | None) -> None:
        exchange.lost_lead = True
        exchange.thread = self.leader
        exchange.thread_lease = lease

    def _take_over(self, exchange: Exchange, refused: Refused) -> None:
        """Answer in place of the thread that runs the exchange, or would have; nothing if that answers already."""
        if exchange.state is ExchangeState.WAITING:
            del self.waiting[exchange]
            if exchange.lease is not None:
                exchange.lease.release()
        elif exchange.state is not ExchangeState.RUNNING:
            return
        exchange.state = ExchangeState.TAKEN
        exchange.replaced = True
        connection = exchange.connection
        self.table.refuse_exchange(exchange, refused)
        self.table.settle(connection)
        connection.exchange = None
