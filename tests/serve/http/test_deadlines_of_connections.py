import math
import socket

import pytest

from srv.serve.http.connection import Connection
from srv.serve.http.deadlines import Deadlines


@pytest.fixture
def connection():
    left, right = socket.socketpair()
    yield Connection(left, ("", ""), ("", ""))
    left.close()
    right.close()


@pytest.fixture
def deadlines():
    return Deadlines()


def test_a_deadline_that_has_passed_is_told_once(deadlines, connection):
    deadlines.set(connection, 10.0)

    assert deadlines.due(9.9) == []
    assert deadlines.due(10.0) == [connection]
    assert deadlines.due(11.0) == []


def test_a_deadline_that_moves_later_rings_later(deadlines, connection):
    assert deadlines.set(connection, 10.0)
    assert not deadlines.set(connection, 20.0)

    assert deadlines.due(15.0) == []
    assert deadlines.next() == 20.0
    assert deadlines.due(20.0) == [connection]


def test_a_deadline_that_moves_sooner_rings_sooner_and_only_then(deadlines, connection):
    deadlines.set(connection, 20.0)
    assert deadlines.set(connection, 10.0)

    assert deadlines.due(10.0) == [connection]
    assert deadlines.due(30.0) == []
    assert deadlines.next() == math.inf


def test_a_connection_may_get_another_deadline_after_its_first_has_passed(deadlines, connection):
    deadlines.set(connection, 10.0)
    deadlines.due(10.0)
    deadlines.set(connection, 12.0)

    assert deadlines.due(12.0) == [connection]


def test_many_moves_leave_few_alarms(deadlines, connection):
    for number in range(1000):
        deadlines.set(connection, 100.0 + number)

    assert len(deadlines._heap) == 1
