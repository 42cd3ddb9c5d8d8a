"""Contestants take turns: a round of each, then the next round of each, so that what disturbs one disturbs all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benching.contestants import Contestant, Srv
from benching.environments import Environments, NotInstalled, say
from benching.load import Generator, Loaded, NoGenerator, by_h2load, measured
from benching.processes import DoesNotServe, Server
from benching.results import Result, Sample
from benching.wire import Call, Request, WrongAnswer, check, check_call

Right = Callable[[list[Any]], bool]
#: Gives a sample for a number of seconds.
Turn = Callable[[float], Sample]
WARM_UP = 1.0


@dataclass(frozen=True)
class Bench:
    """How everything is measured in this run."""

    python: Path
    peers: tuple[Contestant, ...]
    http: Generator
    environments: Environments
    rounds: int = 5
    seconds: float = 3.0
    connections: int = 32

    def srv(self, name: str = "srv", python: Path | None = None, **options: Any) -> Srv:
        """srv, as it comes or with settings or an environment of its own."""
        return Srv(python or self.python, name, **options)

    def all(self) -> tuple[Contestant, ...]:
        """All contestants: srv and its peers."""
        return (self.srv(), *self.peers)


@contextmanager
def noted(result: Result, name: str) -> Iterator[None]:
    """What goes wrong with one contestant is a note beside the figures of the others."""
    try:
        yield
    except (DoesNotServe, WrongAnswer, NoGenerator, NotInstalled) as error:
        result.notes.append(f"{name} was not measured to the end: {' '.join(str(error).split())}")


def take_turns(bench: Bench, result: Result, turns: dict[str, Turn]) -> None:
    """Rounds of each by turns, after one that does not count; who fails is out, with a note."""
    left = list(turns)
    for number in range(bench.rounds + 1):
        names, left = left, []
        for name in names:
            say(f"{result.name}: {name}, {f'round {number} of {bench.rounds}' if number else 'warming up'}")
            with noted(result, name):
                sample = turns[name](bench.seconds if number else WARM_UP)
                if number:
                    result.samples.setdefault(name, []).append(sample)
                left.append(name)


def over_http(
    bench: Bench,
    result: Result,
    contestants: Iterable[Contestant],
    models: Sequence[str],
    request: Request,
    right: Right,
    *,
    connections: int,
    load: Generator | None = None,
    others: dict[str, Turn] | None = None,
) -> Result:
    """Rounds of a request over HTTP, to each contestant's first answer of which somebody has looked."""
    with ExitStack() as stack:
        turns: dict[str, Turn] = {}
        for contestant in contestants:
            with noted(result, contestant.name):
                server = stack.enter_context(contestant.serve(*models))
                check(server, request, right)
                turns[contestant.name] = http_turn(server, request, connections, load or bench.http)
        take_turns(bench, result, {**turns, **(others or {})})
    return result


def http_turn(server: Server, request: Request, connections: int, load: Generator) -> Turn:
    """A turn of load over HTTP."""
    return lambda seconds: measured(server, lambda: load.make(server, request, seconds, connections))


def over_grpc(
    bench: Bench,
    result: Result,
    contestants: Iterable[Contestant],
    models: Sequence[str],
    call: Call,
    right: Right,
    *,
    streams: int,
) -> Result:
    """Rounds of a call over gRPC, on one connection with so many streams."""
    with ExitStack() as stack:
        turns: dict[str, Turn] = {}
        for contestant in contestants:
            with noted(result, contestant.name):
                server = stack.enter_context(contestant.serve(*models))
                turns[contestant.name] = GrpcTurn(server, call, streams, check_call(server, call, right))
        take_turns(bench, result, turns)
    return result


class GrpcTurn:
    """A turn of calls: as many as fill the time, which the first turn finds out."""

    def __init__(self, server: Server, call: Call, streams: int, answer: int) -> None:
        self._server, self._call, self._streams, self._answer = server, call, streams, answer
        self._rate = 0.0

    def __call__(self, seconds: float) -> Sample:
        """Load the server for about so long."""
        while not self._rate:
            self._find_rate()
        count = max(2 * self._streams, round(self._rate * seconds))
        sample = measured(self._server, lambda: self._load(count))
        self._rate = sample["throughput"]
        return sample

    def _find_rate(self) -> None:
        count, took = self._streams, 0.0
        while took < WARM_UP / 2:
            count *= 2
            _, took, failed, _ = self._load(count)
            if failed:
                raise WrongAnswer(f"{failed} of {count} answers of {self._server.name} were not good ones.")
        self._rate = count / took

    def _load(self, count: int) -> Loaded:
        return by_h2load(self._server, self._call, count, self._streams, self._answer)
