"""What a workload gives: samples of each contestant, the best of them, and the bars they are held against."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

Sample = Mapping[str, float]


@dataclass(frozen=True)
class Column:
    """A figure that each round gives, and which of two is better."""

    key: str
    label: str
    more: bool = False

    def best(self, samples: Sequence[Sample]) -> float | None:
        """The best round's figure; None where no round has it."""
        figures = [sample[self.key] for sample in samples if self.key in sample]
        if not figures:
            return None
        return max(figures) if self.more else min(figures)


CPU = Column("cpu", "CPU µs/request")
THROUGHPUT = Column("throughput", "requests/s", more=True)
LOAD = (CPU, THROUGHPUT, Column("p50", "p50 ms"), Column("p90", "p90 ms"), Column("p99", "p99 ms"))


@dataclass(frozen=True)
class Bar:
    """What was asked of a workload, and what came; `met` is None where it could not be measured."""

    asked: str
    measured: str
    met: bool | None = None


@dataclass
class Result:
    """All that a workload measured: for each contestant its rounds, in their order."""

    name: str
    title: str
    columns: tuple[Column, ...] = LOAD
    how: str = ""
    #: Whether the first figure of each contestant is shown as a multiple of the first one's.
    ratios: bool = True
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    bars: list[Bar] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    #: Lines for a plot: what they show, and points of x and y.
    series: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    axes: tuple[str, str] = ("", "")

    def best(self, contestant: str, key: str) -> float | None:
        """The contestant's best figure of that column; None where it has none."""
        column = next(column for column in self.columns if column.key == key)
        return column.best(self.samples.get(contestant, []))

    def times_less(self, asked: str, contestant: str, other: str, key: str, *, least: float) -> None:
        """Hold against a bar how many times less of a column the contestant takes than the other."""
        self._compare(
            asked,
            contestant,
            other,
            key,
            lambda mine, theirs: (f"{shown(theirs / mine)} times less", theirs / mine >= least),
        )

    def times_more(self, asked: str, contestant: str, other: str, key: str, *, most: float) -> None:
        """Hold against a bar how many times more of a column the contestant takes than the other."""
        self._compare(
            asked, contestant, other, key, lambda mine, theirs: (f"{shown(mine / theirs)} times", mine / theirs <= most)
        )

    def faster(self, asked: str, contestant: str, other: str, key: str, *, least: float) -> None:
        """Hold against a bar how many times more of a good thing the contestant has than the other."""
        self._compare(
            asked,
            contestant,
            other,
            key,
            lambda mine, theirs: (f"{shown(mine / theirs)} times", mine / theirs >= least),
        )

    def at_most_over(self, asked: str, contestant: str, other: str, key: str, *, most: float) -> None:
        """Hold against a bar by how much the contestant's figure exceeds the other's."""
        self._compare(
            asked, contestant, other, key, lambda mine, theirs: (f"{mine - theirs:+.1f}", mine - theirs <= most)
        )

    def _compare(
        self, asked: str, contestant: str, other: str, key: str, judge: Callable[[float, float], tuple[str, bool]]
    ) -> None:
        mine, theirs = self.best(contestant, key), self.best(other, key)
        if mine is None or theirs is None:
            self.bars.append(Bar(asked, f"not compared: {contestant if mine is None else other} was not measured"))
            return
        words, met = judge(mine, theirs)
        self.bars.append(Bar(asked, f"{words} ({shown(mine)} against {shown(theirs)})", met))

    def document(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)


def read(document: Mapping[str, Any]) -> Result:
    """The result that `document()` wrote."""
    known = dict(document)
    known["columns"] = tuple(Column(**column) for column in known["columns"])
    known["bars"] = [Bar(**bar) for bar in known["bars"]]
    known["series"] = {name: [(x, y) for x, y in points] for name, points in known["series"].items()}
    known["axes"] = tuple(known["axes"])
    return Result(**known)


def together(documents: Sequence[Mapping[str, Any]]) -> tuple[dict[str, str], str, list[Result]]:
    """What several runs were taken on (the last one's word), their commands, and each workload's latest result."""
    found = {each["name"]: read(each) for document in documents for each in document["workloads"]}
    commands = "\n".join(document["command"] for document in documents)
    return dict(documents[-1]["taken"]), commands, list(found.values())


def shown(figure: float | None) -> str:
    """A figure with as many digits as say something."""
    if figure is None:
        return "–"
    if abs(figure) >= 1000:
        return f"{figure:,.0f}"
    return f"{figure:.1f}" if abs(figure) >= 10 else f"{figure:.2f}"


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value that so many percent of an ordered sequence do not exceed."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share / 100))]
