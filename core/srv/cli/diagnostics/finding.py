"""A finding: what is wrong, or may be, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Weight(StrEnum):
    """PROBLEM: something does not work, and the exit code says so. ADVICE: it works, and could surprise."""

    PROBLEM = "problem"
    ADVICE = "advice"


@dataclass(frozen=True)
class Finding:
    """A finding: what is wrong in one sentence, and what to do in another."""

    weight: Weight
    about: str
    what: str
    remedy: str
    traceback: str = ""


def problem(about: str, what: str, remedy: str, traceback: str = "") -> Finding:
    """Make a finding about what does not work."""
    return Finding(Weight.PROBLEM, about, what, remedy, traceback)


def advice(about: str, what: str, remedy: str) -> Finding:
    """Make a finding about what works and could surprise."""
    return Finding(Weight.ADVICE, about, what, remedy)
