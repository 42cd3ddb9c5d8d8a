"""Results as a person reads them in a terminal, and what they were taken on."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benching.processes import CLIENT_CORE, CORES, SERVER_CORE
from benching.results import Bar, Result, shown

MARKS = {True: "met", False: "NOT MET", None: "not held against"}


def machine() -> dict[str, str]:
    """What the figures are taken on, and when."""
    cpu = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = f"{len(CORES)} cores" + ("" if len(CORES) > 1 else ", which server and load share")
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{cpu[1] if cpu else platform.machine()}, {cores}, {memory:.0f} GiB, {platform.system()} {platform.release().partition('-')[0]}",
        "placing": f"server on core {SERVER_CORE}, load on core {CLIENT_CORE}",
        "load average at the start": f"{os.getloadavg()[0]:.2f}",
        "Python": platform.python_version(),
        **{program: version(program) for program in ("wrk", "h2load")},
    }


def version(program: str) -> str:
    """What a load generator says of itself."""
    if shutil.which(program) is None:
        return "not installed"
    option = {"wrk": "-v", "h2load": "--version"}[program]
    said = subprocess.run([program, option], check=False, capture_output=True, text=True)
    found = re.search(r"\d+\.\d+(\.\d+)?", said.stdout + said.stderr)
    return found[0] if found else "?"


def terminal(result: Result) -> str:
    """A row for each contestant with its best round in each column, then all rounds, ratios, bars and notes."""
    lines = [result.title, *([f"  {result.how}"] if result.how else []), *aligned(rows(result))]
    first = result.columns[0]
    for name, samples in result.samples.items():
        if len(samples) > 1:
            rounds = ", ".join(shown(sample[first.key]) for sample in samples)
            lines.append(f"  {name}: {first.label} of all rounds: {rounds}")
    lines += [f"  {bar.asked}: {bar.measured}: {MARKS[bar.met]}" for bar in result.bars]
    lines += [f"  {note}" for note in result.notes]
    return "\n".join(lines) + "\n"


def rows(result: Result) -> list[list[str]]:
    """The head and a row for each contestant; behind its first figure how many times the first contestant's that is."""
    names = list(result.samples)
    compared = result.ratios and len(names) > 1
    table = [["", *(column.label for column in result.columns)]]
    table += [[name, *(shown(result.best(name, column.key)) for column in result.columns)] for name in names]
    if compared:
        for row, cell in zip(table, [f"× {names[0]}", *(ratio(result, names[0], name) for name in names)], strict=True):
            row.insert(2, cell)
    return table


def ratio(result: Result, first: str, name: str) -> str:
    """How many times the first contestant's first figure a contestant's is."""
    key = result.columns[0].key
    mine, theirs = result.best(first, key), result.best(name, key)
    return "–" if not mine or theirs is None else shown(theirs / mine)


def aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """Columns of text; the first to the left, figures to the right."""
    widths = [max(len(row[place]) for row in table) for place in range(len(table[0]))]
    return [
        "  "
        + "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in table
    ]


def summary(results: Sequence[Result]) -> str:
    """All bars under each other."""
    table = [["", "asked", "measured", ""]]
    table += [[result.title, bar.asked, bar.measured, MARKS[bar.met]] for result in results for bar in result.bars]
    widths = [max(len(row[place]) for row in table) for place in range(4)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    )


def verdict(bar: Bar) -> str:
    """A bar's last word for a page."""
    return {True: "met", False: "**not met**", None: ""}[bar.met]
