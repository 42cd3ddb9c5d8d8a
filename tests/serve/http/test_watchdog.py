import time

import pytest

from srv.serve.http import watchdog
from srv.serve.http.watchdog import COMPUTING, QUICK, Paces


@pytest.fixture
def paces():
    return Paces()


def ran(paces, path, seconds, times):
    for _ in range(times):
        if paces.quick(path):
            paces.ran(path, seconds)


def test_a_path_that_nobody_knows_is_quick(paces):
    assert paces.quick("/a")


def test_a_path_that_is_always_slow_is_not_tried_again_for_a_while(paces):
    ran(paces, "/a", 2 * QUICK, 200)

    assert not paces.quick("/a")
    assert paces.quick("/b")


def test_a_path_that_is_slow_now_and_then_is_quick(paces):
    for _ in range(1000):
        ran(paces, "/a", 2 * QUICK, 1)
        ran(paces, "/a", QUICK / 2, 2)

    assert paces.quick("/a")


def test_on_one_core_a_path_may_compute_for_longer_and_not_wait():
    computes, waits, long = Paces(parallel=False), Paces(parallel=False), Paces(parallel=False)
    for _ in range(200):
        computes.ran("/a", 2 * QUICK, computed=1.9 * QUICK)
        waits.ran("/a", 2 * QUICK, computed=0.1 * QUICK)
        long.ran("/a", 2 * COMPUTING, computed=2 * COMPUTING)

    assert computes.quick("/a")
    assert not waits.quick("/a")
    assert not long.quick("/a")


def test_how_long_a_path_computes_matters_only_on_one_core_and_when_it_has_been_slow():
    single, several = Paces(parallel=False), Paces()
    assert not single.suspects("/a")
    for paces in (single, several):
        paces.ran("/a", 2 * QUICK)

    assert single.suspects("/a")
    assert not several.suspects("/a")


def test_a_few_requests_that_hang_are_enough(paces):
    for _ in range(5):
        paces.stuck("/a")

    assert not paces.quick("/a")


def test_a_ban_ends_and_the_next_one_is_twice_as_long(paces, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    ran(paces, "/a", 2 * QUICK, 200)
    for length in (1, 2, 4, 8, 16, 32, 64, 64):
        assert not paces.quick("/a")
        clock[0] += length + 0.01
        ran(paces, "/a", 2 * QUICK, 1)

    assert not paces.quick("/a")


def test_a_path_that_has_become_quick_is_forgotten(paces, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    ran(paces, "/a", 2 * QUICK, 200)
    clock[0] += 1.01
    ran(paces, "/a", QUICK / 2, 500)

    assert paces.quick("/a")
    assert not paces._paces


def test_paths_are_remembered_only_so_far(paces):
    for number in range(5000):
        paces.ran(f"/{number}", 1.0)

    assert len(paces._paces) <= watchdog.REMEMBERED
