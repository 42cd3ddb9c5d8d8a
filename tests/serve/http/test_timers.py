import math
import socket

import pytest

from srv.serve.http.connections import Connection
from srv.serve.http.timers import LITTER, Timers


@pytest.fixture
def connection():
    left, right = socket.socketpair()
    yield Connection(left, ("", ""), ("", ""))
    left.close()
    right.close()


@pytest.fixture
def connections(connection):
    """Makes so many connections, all of one socket."""
    return lambda count: (Connection(connection.socket, ("", ""), ("", "")) for _ in range(count))


@pytest.fixture
def deadlines():
    return Timers()


def test_a_deadline_that_has_passed_is_told_once(deadlines, connection):
    deadlines.set(connection, 10.0)

    assert deadlines.due(9.9, 100) == []
    assert deadlines.due(10.0, 100) == [connection]
    assert deadlines.due(11.0, 100) == []


def test_a_deadline_that_moves_later_rings_later(deadlines, connection):
    assert deadlines.set(connection, 10.0)
    assert not deadlines.set(connection, 20.0)

    assert deadlines.due(15.0, 100) == []
    assert deadlines.next() == 20.0
    assert deadlines.due(20.0, 100) == [connection]


def test_a_deadline_that_moves_sooner_rings_sooner_and_only_then(deadlines, connection):
    deadlines.set(connection, 20.0)
    assert deadlines.set(connection, 10.0)

    assert deadlines.due(10.0, 100) == [connection]
    assert deadlines.due(30.0, 100) == []
    assert deadlines.next() == math.inf


def test_a_connection_may_get_another_deadline_after_its_first_has_passed(deadlines, connection):
    deadlines.set(connection, 10.0)
    deadlines.due(10.0, 100)
    deadlines.set(connection, 12.0)

    assert deadlines.due(12.0, 100) == [connection]


def test_many_moves_leave_few_alarms(deadlines, connection):
    for number in range(1000):
        deadlines.set(connection, 100.0 + number)

    assert len(deadlines._heap) == 1


def test_no_more_connections_are_told_at_once_than_are_asked_for(deadlines, connections):
    for each in connections(5):
        deadlines.set(each, 10.0)

    assert [len(deadlines.due(11.0, 2)) for _ in range(4)] == [2, 2, 1, 0]


def test_timers_of_connections_that_are_gone_are_kept_by_few(deadlines, connections):
    for each in connections(20_000):
        deadlines.set(each, 1000.0)
        deadlines.forget(each)

    assert len(deadlines._heap) <= 2 * LITTER


def test_a_connection_that_was_forgotten_is_told_no_more(deadlines, connection, connections):
    deadlines.set(connection, 10.0)
    deadlines.forget(connection)
    kept = list(connections(200))
    for number, each in enumerate(kept):
        deadlines.set(each, 20.0 + number)
        deadlines.set(each, 10.0 + number)  # which leaves the first one behind

    assert deadlines.due(1000.0, 1000) == kept
