import sys
import threading

import pytest

from srv.planes.limits import Lease, Limit


@pytest.fixture
def limit():
    return Limit(10)


def test_a_lease_counts_until_it_is_released(limit):
    lease = limit.take(10)

    assert not limit.fits(1)
    lease.release()
    assert limit.fits(10)


def test_what_is_beyond_the_limit_gets_no_lease_and_counts_nothing(limit):
    limit.take(8)

    assert limit.take(3) is None
    assert limit.count == 8


def test_a_lease_grows_beyond_the_limit_says_so_and_gives_all_of_it_back(limit):
    lease = Lease(limit)

    assert lease.grow(10)
    assert not lease.grow(5)
    assert limit.count == 15
    lease.release()
    assert limit.count == 0


def test_a_lease_that_was_released_counts_nothing_any_more(limit):
    lease = limit.take(4)
    lease.release()

    lease.grow(4)
    lease.release()

    assert limit.count == 0


def test_a_lease_that_many_threads_release_is_given_back_once(limit):
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(200):
            lease, begin = limit.take(5), threading.Barrier(4)
            threads = [
                threading.Thread(target=lambda lease=lease, begin=begin: (begin.wait(), lease.release()))
                for _ in range(4)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert limit.count == 0
    finally:
        sys.setswitchinterval(interval)
