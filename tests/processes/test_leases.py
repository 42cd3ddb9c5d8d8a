"""Leases of a worker: what requests learn of a process that has ended, in whatever order that is found out."""

import pytest

from srv.channels.channel import pair
from srv.channels.frames import Frame, FrameKind
from srv.processes.leases import Leases, ProcessLease
from srv.processes.serving_processes import ServingProcess

DOWN = {"what": "down", "lease": 1, "number": 0, "process": 42, "how": "was killed by SIGSEGV", "wait": 0.0}


@pytest.mark.parametrize("found_first", [True, False], ids=["by a request", "by the supervisor"])
def test_a_request_learns_how_its_process_ended_whoever_finds_out_first(found_first):
    ours, _theirs = pair()
    lease = ProcessLease(Leases(None, stuck_timeout=1.0), 1, {}, "model")
    process = ServingProcess("model", 0, 42, ours, lambda *_: None)
    lease.members = (process,)
    if found_first:
        lease.drop(process)
    lease.take(DOWN, Frame(FrameKind.STATUS, 0, DOWN, [], []))
    assert process.has_ended
    assert "was killed by SIGSEGV" in str(process.death())
    assert lease.members == ()
