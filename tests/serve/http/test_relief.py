import time

import pytest

from srv.serve.http import relief
from srv.serve.http.relief import QUICK, Paces


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

    assert len(paces._paces) <= relief.REMEMBERED
