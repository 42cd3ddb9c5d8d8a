import threading

import pytest

from srv.serve.http.exchange import Exchange
from srv.serve.http.followers import Followers


def exchange():
    return Exchange(None, None, memoryview(b""), 0, 0.0)


@pytest.fixture
def followers():
    """Two threads may run something; one has run what is `aside` now, and another leads."""
    followers = Followers(2, 4)
    followers.lead.acquire()
    return followers


@pytest.fixture
def aside(followers):
    aside = exchange()
    followers.begin_sprint(aside)
    assert followers.relieve(aside)
    followers.lead.acquire()  # by the thread that leads now
    return aside


def test_a_thread_that_gave_way_gets_the_lead_back_and_the_one_that_had_it_rests(followers, aside):
    assert followers.lend(aside, None)

    assert followers.running == 0
    assert followers.sprint_ended(aside)
    assert followers.lead.locked()


def test_the_lead_goes_straight_from_a_thread_that_gives_way_to_one_that_goes_on(followers, aside):
    waits = exchange()
    followers.begin_sprint(waits)

    assert followers.lend(aside, waits)

    assert followers.running == 1
    assert followers.sprint_ended(aside)
    assert not followers.sprint_ended(waits)


def test_a_thread_that_has_run_its_exchange_gets_no_lead_any_more(followers, aside):
    assert not followers.sprint_ended(aside)

    assert not followers.lend(aside, None)


def test_no_thread_gets_the_lead_back_while_a_request_waits_for_the_one_that_would_rest(followers, aside):
    followers.waiting.append(exchange())

    assert not followers.lend(aside, None)
    assert followers.running == 1


def test_a_thread_that_lost_the_lead_in_this_moment_gives_it_to_nobody(followers, aside):
    lost = exchange()
    followers.begin_sprint(lost)
    taking = threading.Thread(target=followers.relieve, args=[lost])
    taking.start()
    taking.join()

    assert not followers.lend(aside, lost)


def test_what_runs_again_after_waiting_is_another_sprint(followers, aside):
    before = followers.sprints

    followers.lend(aside, None)

    assert followers.sprints == before + 1
