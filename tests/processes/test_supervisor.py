"""Which group of processes a worker gets: the newest, a new one when it loads again, and that of the worker it follows."""

import asyncio
import os
import socket

from srv.channels.channel import Channel
from srv.channels.frames import FrameKind
from srv.processes.groups import Group
from srv.processes.supervisor import ConnectedWorker, ProcessSupervisor

LIMITS = {"load_timeout": 1.0, "worker_timeout": 1.0, "graceful_timeout": 1.0}


def asked(number, **more):
    """What a worker sends to get a lease of that number."""
    wanted = {
        "name": "model",
        "version": None,
        "order": {"model": {"folder": "/models/model"}},
        "process": {"count": 1},
        "cache": {"dir": None, "limit": None},
        "placements": [None],
        "limits": LIMITS,
    }
    return {"what": "acquire", "lease": number, **wanted, **more}


def groups_after(monkeypatch, *messages):
    """How many groups there are after each message of two workers, each message with the number of its worker."""
    monkeypatch.setattr(Group, "begin", lambda _: None)  # because no process is needed for this

    async def run():
        rendezvous, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        supervisor = ProcessSupervisor(rendezvous, os.getpid())
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2)]
        workers = [ConnectedWorker(supervisor, theirs) for _, theirs in pairs]
        channels = [Channel(ours) for ours, _ in pairs]
        counts = []
        for worker, message in messages:
            channels[worker].send(FrameKind.STATUS, 0, message)
            workers[worker]._read()
            counts.append(len(supervisor._groups))
        for connection in (*workers, *channels, rendezvous, other):
            connection.close()
        return counts

    return asyncio.run(run())


def test_workers_that_start_share_the_processes_of_a_model(monkeypatch):
    assert groups_after(monkeypatch, (0, asked(1)), (1, asked(1))) == [1, 1]


def test_a_worker_that_loads_again_gets_new_processes_which_the_other_one_joins(monkeypatch):
    messages = ((0, asked(1)), (1, asked(1)), (0, asked(2)), (1, asked(2, follows=True)))
    assert groups_after(monkeypatch, *messages) == [1, 1, 2, 2]


def test_a_worker_that_has_joined_new_processes_before_it_is_told_of_the_load_stays_with_them(monkeypatch):
    assert groups_after(monkeypatch, (0, asked(1)), (1, asked(1)), (1, asked(2, follows=True))) == [1, 1, 1]
