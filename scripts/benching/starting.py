"""From `start` to ready, and what all processes of an idle server hold."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence

from benching.contestants import Contestant
from benching.environments import say
from benching.processes import SERVER_CORE, Server, end, pinned
from benching.results import Column, Result, Sample
from benching.turns import Bench, noted

COLUMNS = (Column("ready", "s until ready"), Column("pss", "idle PSS MB"), Column("start_cpu", "CPU s until idle"))
SETTLED = 1.0


def starts(bench: Bench, result: Result, models: Sequence[str]) -> None:
    """Start each contestant by turns and stop it again; the first round is for the files to be in memory."""
    left: list[Contestant] = list(bench.all())
    for number in range(bench.rounds + 1):
        contestants, left = left, []
        for contestant in contestants:
            say(f"{result.name}: {contestant.name}, round {number} of {bench.rounds}")
            with noted(result, contestant.name):
                with contestant.serve(*models) as server:
                    sample = idle(server)
                if number:
                    result.samples.setdefault(contestant.name, []).append(sample)
                left.append(contestant)


def idle(server: Server) -> Sample:
    """A server that has just become ready, after it had time to settle."""
    time.sleep(SETTLED)
    return {"ready": server.ready_after, "pss": server.pss(), "start_cpu": server.cpu()}


def alone(command: Sequence[str]) -> Sample:
    """The same of a program that says that it is ready and waits."""
    began = time.perf_counter()
    process = subprocess.Popen(
        pinned(command, [SERVER_CORE]), stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    with process:
        assert process.stdout
        process.stdout.readline()
        took = time.perf_counter() - began
        sample = idle(Server("alone", 0, process.pid, 0, took))
        end(process)
    return sample
