"""The workers as the master knows them."""

import pytest

from srv.processes.endings import Backoff
from srv.serve.worker_table import WorkerEntry, WorkerTable


def member(pid=1, *, ready_since=None):
    return WorkerEntry(pid, cohort=1, ready_since=ready_since)


def test_the_first_death_costs_no_wait_and_each_further_one_twice_as_much():
    backoff = Backoff(longest=5)
    assert [backoff.died(None, now=10.0) for _ in range(6)] == [0, 1, 2, 4, 5, 5]
    assert backoff.wait(now=12.0) == 3
    assert backoff.wait(now=15.0) == 0


def test_a_worker_that_served_for_a_while_starts_the_count_anew():
    backoff = Backoff(steady=60)
    backoff.died(None, now=0.0)
    backoff.died(None, now=0.0)
    assert backoff.died(10.0, now=80.0) == 0


@pytest.mark.parametrize(
    "ready, stale, leaving, complete",
    [(2, 0, 0, True), (1, 1, 0, False), (2, 2, 0, True), (1, 0, 1, False)],
    ids=["both", "one is stale", "stale ones beside", "one is leaving"],
)
def test_a_crew_is_complete_when_enough_of_those_who_stay_are_ready(ready, stale, leaving, complete):
    table = WorkerTable()
    for pid in range(ready + stale + leaving):
        each = member(pid, ready_since=1.0)
        each.stale = ready <= pid < ready + stale
        each.leave_by = 9.0 if pid >= ready + stale else None
        table.add(each)
    assert table.complete(2) is complete
    assert len(table.fresh()) == ready
    assert len(table.stale()) == stale
