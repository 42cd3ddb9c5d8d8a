"""The words of counting: kinds of answers, the stages where a request's time goes, and their sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import msgspec

#: Upper bounds of the histograms' buckets in seconds; what is longer counts in a last one.
BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

#: The outcome of what was answered; else it is the error's code.
OK = "ok"


class Kind(NamedTuple):
    """What is counted apart: a model's version, the face that asked, and how it ended (`ok`, or the error's code)."""

    model: str
    version: str | None
    face: str
    outcome: str


class RouteKind(NamedTuple):
    """What is counted apart of runtimes' own routes: a model's version, the route, such as `POST explain`, and the outcome.

    The outcome is `ok`, the error's code, or the status that the runtime chose, where that is 400 or more.
    """

    model: str
    version: str | None
    route: str
    outcome: str


class Queue(NamedTuple):
    """Requests that wait in a worker: for a thread of a face, or, where there is a model, for a place or batch of it."""

    worker: int
    face: str
    model: str
    version: str | None
    waiting: int


class Usage(NamedTuple):
    """What a worker holds at the moment: HTTP connections, open streams of both faces, bytes of requests in flight."""

    worker: int
    connections: int
    streams: int
    bytes_in_flight: int


class Series(NamedTuple):
    """What models have reported with `self.metric` under one name and one set of labels.

    The kind is counter, gauge or histogram. A gauge is one worker's; what else was reported is the sum over all workers.
    A histogram's value is the sum of what it has observed; each bucket is an upper bound in order, the last one infinite,
    and how many values are above the bound before it and not above its own.
    """

    model: str
    version: str
    name: str
    kind: str
    labels: tuple[tuple[str, str], ...]
    value: float
    worker: int | None = None
    buckets: tuple[tuple[float, int], ...] = ()


class MetricReporter(Protocol):
    """Takes the metrics that one instance of a model reports."""

    def report(
        self, name: str, value: float, kind: str, buckets: Sequence[float] | None, labels: Mapping[str, object]
    ) -> None:
        """Count or set a value, from any thread. Raises where the call itself is wrong, whatever the value is."""

    def close(self) -> None:
        """Show the instance's gauges no longer; it is unloaded."""


@dataclass(slots=True)
class Stages:
    """Where one request's time went, in nanoseconds; stages that it never reached are 0.

    `queue` is waiting for a thread and for the model's `concurrency`; `input` is reading and decoding, `infer` predict
    itself, `output` the encoding of what it returned. `taken` is when a thread began with it, on the monotonic clock;
    0 where that was at once.

    `elements` are what the statistics extension counts as inferences: the first length of the first input, where the
    model takes batches (it has a `max_batch_size`, or declares its first input with -1 first), else 1. `executions`
    is 1 with one of those that ran as one; that has in `batch` the elements of all of them, if the model batches and
    they are no more than its `max_batch_size`.
    """

    queue: int = 0
    input: int = 0
    infer: int = 0
    output: int = 0
    taken: float = 0.0
    elements: int = 0
    executions: int = 0
    batch: int = 0


class Sums(msgspec.Struct):
    """Everything that was counted for one kind of answer. Times are sums in nanoseconds, `last` is in milliseconds."""

    count: int = 0
    elements: int = 0
    executions: int = 0
    last: int = 0
    stages: Stages = msgspec.field(default_factory=Stages)
    total: int = 0
    durations: list[int] = msgspec.field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    queues: list[int] = msgspec.field(default_factory=lambda: [0] * (len(BOUNDS) + 1))

    def add(self, more: Sums) -> None:
        """Add what was counted elsewhere."""
        self.count += more.count
        self.elements += more.elements
        self.executions += more.executions
        self.last = max(self.last, more.last)
        self.stages.queue += more.stages.queue
        self.stages.input += more.stages.input
        self.stages.infer += more.stages.infer
        self.stages.output += more.stages.output
        self.total += more.total
        self.durations = [one + other for one, other in zip(self.durations, more.durations, strict=True)]
        self.queues = [one + other for one, other in zip(self.queues, more.queues, strict=True)]
