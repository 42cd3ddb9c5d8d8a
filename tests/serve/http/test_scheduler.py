import fcntl
import socket
import threading

import pytest

from srv.planes.limits import Lease, Limit
from srv.serve.http.connection_table import ConnectionTable
from srv.serve.http.connections import Connection, Exchange, ExchangeState, Step
from srv.serve.http.errors import AppFailed
from srv.serve.http.limits import Limits
from srv.serve.http.parser import HeadReader
from srv.serve.http.poller import LEFT, Poller
from srv.serve.http.refusal_log import AccessLog
from srv.serve.http.responses import ResponseHeads
from srv.serve.http.scheduler import ExchangePlace, Scheduler

LIMITS = Limits(threads=2, max_queue=4, request_timeout=10.0)
HEAD = HeadReader(LIMITS).read(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
LEADER, FORMER = 1, 2


@pytest.fixture
def in_flight():
    return Limit(1000)


@pytest.fixture
def scheduler(in_flight):
    """Two threads may run something, and one leads."""
    table = ConnectionTable(LIMITS, poller=Poller(), heads=ResponseHeads(), access_log=AccessLog(), in_flight=in_flight)
    scheduler = Scheduler(LIMITS, table)
    scheduler.lead.acquire()
    scheduler.leader = LEADER
    return scheduler


@pytest.fixture
def exchange(scheduler):
    """Makes exchanges, each of a connection of its own, whose client is `clients[exchange]`.

    `least` is the least descriptor that the connection may have.
    """
    ends = []

    def make(lease=None, least=0):
        server, client = socket.socketpair()
        if least:
            with server:
                server = socket.socket(fileno=fcntl.fcntl(server, fcntl.F_DUPFD_CLOEXEC, least))
        server.settimeout(0)
        client.settimeout(5)
        ends.extend((server, client))
        connection = Connection(server, ("", ""), ("", ""))
        scheduler.adopt(connection)
        made = Exchange(connection, HEAD, memoryview(b""), lease, 100.0)
        connection.exchange = made
        make.clients[made] = client
        return made

    make.clients = {}
    yield make
    for end in ends:
        end.close()


@pytest.fixture
def waits(scheduler, exchange):
    """What a thread runs that led when it began, and that waits since; another thread leads."""
    waits = exchange()
    scheduler.leader = FORMER
    scheduler.begin_inline(waits)
    assert scheduler.take_lead(waits)
    scheduler.lead.acquire()
    scheduler.leader = LEADER
    return waits


# -- the lead ----------------------------------------------------------------------------------------------------------


def test_a_thread_that_gave_way_gets_the_lead_back_and_the_one_that_had_it_rests(scheduler, waits):
    assert scheduler.return_lead(waits, None)

    assert scheduler.threads.count == 0
    assert scheduler.leader == FORMER
    assert scheduler.end_inline(waits)
    assert scheduler.lead.locked()


def test_the_lead_goes_straight_from_a_thread_that_gives_way_to_one_that_goes_on(scheduler, exchange, waits):
    other = exchange()
    scheduler.begin_inline(other)

    assert scheduler.return_lead(waits, other)

    assert scheduler.threads.count == 1
    assert scheduler.end_inline(waits)
    assert not scheduler.end_inline(other)


def test_a_thread_that_has_run_its_exchange_gets_no_lead_any_more(scheduler, waits):
    assert not scheduler.end_inline(waits)

    assert not scheduler.return_lead(waits, None)


def test_no_thread_gets_the_lead_back_while_a_request_waits_for_the_one_that_would_rest(scheduler, exchange, waits):
    scheduler.place(exchange())
    assert scheduler.place(exchange()) is ExchangePlace.WAIT

    assert not scheduler.return_lead(waits, None)
    assert scheduler.threads.count == 2


def test_a_thread_that_lost_the_lead_in_this_moment_gives_it_to_nobody(scheduler, exchange, waits):
    lost = exchange()
    scheduler.begin_inline(lost)
    taking = threading.Thread(target=scheduler.take_lead, args=[lost])
    taking.start()
    taking.join()

    assert not scheduler.return_lead(waits, lost)


def test_what_runs_again_after_waiting_is_another_run(scheduler, waits):
    before = scheduler.inline_runs

    scheduler.return_lead(waits, None)

    assert scheduler.inline_runs == before + 1


def test_whoever_loses_the_lead_has_the_requests_own_deadline_at_once(scheduler, exchange):
    runs = exchange()
    scheduler.set_deadline(runs.connection, 101.0)  # of the time before the request, and nearly over
    scheduler.begin_inline(runs)

    scheduler.take_lead(runs)

    scheduler.expire(105.0)
    assert runs.state is ExchangeState.RUNNING
    scheduler.expire(111.0)
    assert runs.state is ExchangeState.TAKEN


def test_the_lead_of_a_thread_that_died_is_free(scheduler):
    scheduler.recover_lead(FORMER)
    assert scheduler.lead.locked()

    scheduler.recover_lead(LEADER)
    assert not scheduler.lead.locked()


# -- exchanges ---------------------------------------------------------------------------------------------------------


def test_requests_wait_in_turn_and_the_place_of_a_thread_counts_once(scheduler, exchange):
    first, second, third = (exchange() for _ in range(3))
    assert [scheduler.place(each) for each in (first, second, third)] == [
        ExchangePlace.RUN,
        ExchangePlace.RUN,
        ExchangePlace.WAIT,
    ]

    assert scheduler.next(first) is third
    assert scheduler.next(first) is None  # its place is the third's now
    assert scheduler.threads.count == 2
    assert scheduler.next(second) is None
    assert scheduler.next(third) is None
    assert scheduler.threads.count == 0


def test_a_thread_that_fails_outside_the_app_answers_and_goes_on_with_what_waits(scheduler, exchange):
    first, second, third = (exchange() for _ in range(3))
    for each in (first, second, third):
        scheduler.place(each)

    assert scheduler.abandon(first) is third

    assert exchange.clients[first].recv(1000).startswith(b"HTTP/1.1 500 ")
    assert scheduler.threads.count == 2


def test_what_waits_when_its_time_is_up_never_runs_and_holds_no_bytes(scheduler, exchange, in_flight):
    running = [exchange(), exchange()]
    for each in running:
        scheduler.place(each)
    late = exchange(in_flight.take(300))
    scheduler.place(late)

    scheduler.expire(200.0)

    assert exchange.clients[late].recv(1000).startswith(b"HTTP/1.1 504 ")
    assert in_flight.count == 0
    assert scheduler.next(running[0]) is None


def test_a_client_that_leaves_while_its_request_waits_gets_no_thread(scheduler, exchange, in_flight):
    running = [exchange(), exchange()]
    for each in running:
        scheduler.place(each)
    left = exchange(in_flight.take(300))
    scheduler.place(left)

    assert scheduler.put_aside(left.connection, left=True)

    assert left.left
    assert in_flight.count == 0
    assert not scheduler.waiting


def test_an_exchange_that_was_taken_over_touches_its_connection_no_more(scheduler, exchange):
    runs = exchange()
    scheduler.place(runs)
    scheduler.expire(200.0)
    connection = runs.connection
    assert connection.step is Step.LINGERING
    scheduler.discard(connection)

    assert not scheduler.may_answer(runs)
    scheduler.fail(runs, AppFailed())
    scheduler.finish(runs)

    assert connection.closed
    assert not connection.mask


def test_a_descriptor_is_not_watched_after_it_was_closed_although_another_connection_has_it(scheduler, exchange):
    # So high that no other thread of this process opens it in between.
    closed = exchange(least=700).connection
    scheduler.discard(closed)
    other = exchange(least=700).connection
    assert other.descriptor == closed.descriptor

    scheduler.watch(closed, LEFT)
    scheduler.discard(closed)

    assert scheduler.table.connections[other.descriptor] is other


def test_what_comes_on_a_connection_whose_exchange_has_just_ended_is_the_leaders(scheduler, exchange):
    ended = exchange()
    scheduler.place(ended)
    assert scheduler.may_answer(ended)
    scheduler.finish(ended)

    assert not scheduler.put_aside(ended.connection, left=False)


def test_a_lease_of_a_slow_readers_bytes_ends_with_the_connection(scheduler, exchange, in_flight):
    runs = exchange()
    scheduler.place(runs)
    scheduler.may_answer(runs)
    runs.connection.send([bytes(10_000_000)])
    scheduler.finish(runs)
    assert in_flight.count > 0
    assert isinstance(runs.connection.lease, Lease)

    scheduler.discard(runs.connection)

    assert in_flight.count == 0


def test_a_client_waits_as_long_as_the_server_says_or_the_model_until_its_stream_begins(scheduler, exchange):
    asked = exchange()
    assert asked.until(7.0) == 107.0
    scheduler.expect(asked, 3.0)
    assert asked.until(7.0) == 103.0
    assert scheduler.may_answer(asked)
    assert asked.until(7.0) is None
