"""Rounds as a table that a person reads."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from benching.load import Round
from benching.servers import CLIENT_CORE, SERVER_CORE


def machine(client: str) -> str:
    """What the figures were taken on."""
    model = next(
        (line.split(": ")[1] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "?"
    )
    cores = f"server on core {SERVER_CORE}, {client} on core {CLIENT_CORE} of {os.cpu_count()}"
    return f"Python {platform.python_version()}, {model}; {cores}; load average {os.getloadavg()[0]:.1f}\n"


def table(title: str, rounds: dict[str, list[Round]]) -> str:
    """A row for each contestant, its best round, and the ratios to the first."""
    width = max(map(len, rounds))
    lines = [title, f"  {'':{width}}  requests/s   CPU µs/request (all rounds)      p50    p90    p99 ms"]
    for name, runs in rounds.items():
        best = min(runs, key=lambda each: each.cpu)
        fastest = max(each.throughput for each in runs)
        cpu = ", ".join(f"{each.cpu:.1f}" for each in runs)
        latencies = "  ".join(f"{best.latencies[each]:5.2f}" for each in ("p50", "p90", "p99"))
        lines.append(f"  {name:{width}}  {fastest:10.1f}   {best.cpu:8.1f} ({cpu})   {latencies}")
    (first, runs), *others = rounds.items()
    for name, other in others:
        cpu = min(each.cpu for each in other) / min(each.cpu for each in runs)
        throughput = max(each.throughput for each in runs) / max(each.throughput for each in other)
        lines.append(
            f"  {name} takes {cpu:.2f} times the CPU of {first}, {first} has {throughput:.2f} times its throughput"
        )
    return "\n".join(lines) + "\n"
