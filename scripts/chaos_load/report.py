"""What a run has shown, for a terminal and as JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from chaos_load.records import Disturbances, Exchange, Outcome, Records
from chaos_load.server import Held

#: How much more may be held at the end than after the warm-up: what a pool starts late, and a log that was opened anew.
ALLOWED = {"launcher_descriptors": 2, "launcher_threads": 1, "worker_descriptors": 4, "worker_threads": 4}
SHOWN = 12


@dataclass(frozen=True)
class Report:
    """All of a run."""

    seconds: float
    records: Records
    done: Disturbances
    ran: frozenset[int]
    before: Held
    after: Held
    free_before: int
    free_after: dict[int, int]
    exit_code: int
    tracebacks: int
    #: Seconds from the last request until every worker that there should be had answered.
    whole_after: float
    errors: list[str]

    def lost(self) -> tuple[Counter[str], list[Exchange]]:
        """Return how many were lost for which cause, and those that were lost without one."""
        causes: Counter[str] = Counter()
        unexplained = []
        for each in self.records.of(Outcome.LOST):
            cause = self.done.cause(each, self.ran)
            if cause:
                causes[cause] += 1
            else:
                unexplained.append(each)
        return causes, unexplained

    @property
    def in_flight(self) -> int:
        """Bytes that workers count as held though nobody asks any more."""
        return sum(max(0, self.free_before - free) for free in self.free_after.values())

    def missed(self) -> list[str]:
        """Return the bars that were missed."""
        _, unexplained = self.lost()
        missed = []
        if wrong := self.records.total(Outcome.WRONG):
            missed.append(f"{wrong} wrong answers")
        if hung := self.records.total(Outcome.HUNG):
            missed.append(f"{hung} hung")
        if unexplained:
            missed.append(f"{len(unexplained)} lost without a cause")
        if self.in_flight:
            missed.append(f"{self.in_flight} bytes in flight at the end")
        missed += self.after.grown(self.before, ALLOWED)
        if self.tracebacks:
            missed.append(f"{self.tracebacks} tracebacks in the log")
        if self.exit_code:
            missed.append(f"exit code {self.exit_code}")
        if not self.records.total(Outcome.RIGHT):
            missed.append("nothing was answered")
        return missed + self.errors

    def document(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        causes, unexplained = self.lost()
        return {
            "seconds": self.seconds,
            "kills": len(self.done.kills),
            "killed": self.done.kills,
            "replacements": len(self.done.replacements),
            "failed_replacements": self.done.failed_replacements,
            "loads": dict(self.done.loads),
            "clients": {name: dict(counts) for name, counts in sorted(self.records.counts.items())},
            "slowest": dict(self.records.slowest),
            "refusals": dict(self.records.refusals),
            "right": self.records.total(Outcome.RIGHT),
            "wrong": self.records.total(Outcome.WRONG),
            "hung": self.records.total(Outcome.HUNG),
            "left": self.records.total(Outcome.LEFT),
            "in_flight_bytes": self.in_flight,
            "held": {"before": asdict(self.before), "after": asdict(self.after)},
            "exit_code": self.exit_code,
            "tracebacks": self.tracebacks,
            "whole_after": self.whole_after,
            "lost": {
                "with a cause": dict(causes),
                "without a cause": len(unexplained),
                "each": [asdict(each) for each in self.records.of(Outcome.LOST)][:500],
            },
            "faults": [asdict(each) for each in [*self.records.of(Outcome.WRONG, Outcome.HUNG), *unexplained][:200]],
            "missed": self.missed(),
        }

    def told(self, fault: Exchange) -> str:
        """Return what happened to one request, and whether its model ran it."""
        ran = "ran" if fault.number in self.ran else "did not run"
        return f"{fault.outcome}: {fault.client} number {fault.number} ({ran}): {fault.detail}"

    def terminal(self) -> str:
        """Return what a person reads."""
        causes, unexplained = self.lost()
        columns = [*Outcome]
        replaced = f"{len(self.done.replacements)} SIGHUPs ({self.done.failed_replacements} reloads failed)"
        lines = [
            f"{self.seconds:g} s: {len(self.done.kills)} workers killed, {replaced}, loads: {said(self.done.loads)}",
            "",
            f"{'client':24}" + "".join(f"{column:>9}" for column in columns) + f"{'slowest':>10}",
        ]
        for name, counts in sorted(self.records.counts.items()):
            figures = "".join(f"{counts[column]:9}" for column in columns)
            lines.append(f"{name:24}{figures}{self.records.slowest[name]:8.2f} s")
        lines += [
            f"{'all':24}" + "".join(f"{self.records.total(column):9}" for column in columns),
            "",
            f"refusals: {said(self.records.refusals)}",
            f"lost with a cause: {said(causes)}",
            f"lost without a cause: {len(unexplained)}",
            f"bytes in flight at the end: {self.in_flight} in {len(self.free_after)} workers",
            f"all workers answered after {self.whole_after:.1f} s",
            f"held before: {held(self.before)}",
            f"held after:  {held(self.after)}",
            f"exit code {self.exit_code}; tracebacks in the log: {self.tracebacks}",
        ]
        faults = [*self.records.of(Outcome.WRONG, Outcome.HUNG), *unexplained]
        lines += [f"  {self.told(each)}" for each in faults[:SHOWN]]
        if len(faults) > SHOWN:
            lines.append(f"  and {len(faults) - SHOWN} more")
        missed = self.missed()
        lines.append(f"MISSED: {'; '.join(missed)}" if missed else "All bars are met.")
        return "\n".join(lines)


def said(counts: Counter[str]) -> str:
    """Return counts as text."""
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"


def held(sample: Held) -> str:
    """Return descriptors and threads as text."""
    return ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in asdict(sample).items())
