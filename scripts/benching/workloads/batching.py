"""Batching: a model that takes a millisecond a call, however many rows it gets, and 32 clients."""

from contextlib import ExitStack
from dataclasses import replace

from benching.contestants import Contestant, MLServer
from benching.processes import Server
from benching.results import LOAD, Bar, Column, Result, Sample, shown
from benching.turns import Bench, Turn, http_turn, noted, take_turns
from benching.wire import check, in_json, tensor

CLIENTS = 32
BATCHED = {"max_batch_size": CLIENTS, "max_batch_time": 0.001}
ROUND = Column("round", "batch round ms")
UNBATCHED = "srv, one thread, unbatched"


def measure(bench: Bench) -> Result:
    """Batched against one thread that does not batch; MLServer batched beside them."""
    how = (
        f"Model slow, {CLIENTS} connections. Batched: max_batch_size {CLIENTS}, max_batch_time 1 ms, one at a time. A batch "
        "round is the time from one batch's start to the next one's under this load: the seconds of a round of load by "
        "the batches that the server has counted in it."
    )
    result = Result("batching", "Batching a model that takes 1 ms a call", (*LOAD, ROUND), how)
    contestants: list[Contestant] = [
        bench.srv("srv", model_settings={**BATCHED, "concurrency": 1}),
        bench.srv(UNBATCHED, settings={"threads": 1}),
        *(replace(peer, model_settings=BATCHED) for peer in bench.peers if isinstance(peer, MLServer)),
    ]
    request = in_json("slow", tensor("FP32", [1, 3], [1.0, 2.5, 3.0]))
    with ExitStack() as stack:
        turns: dict[str, Turn] = {}
        for contestant in contestants:
            with noted(result, contestant.name):
                server = stack.enter_context(contestant.serve("slow"))
                check(server, request, lambda numbers: numbers == [1.0, 2.5, 3.0])
                turn = http_turn(server, request, CLIENTS, bench.http)
                turns[contestant.name] = in_rounds(server, turn) if contestant.name == "srv" else turn
        take_turns(bench, result, turns)
    result.faster("at least 10 times the unbatched throughput", "srv", UNBATCHED, "throughput", least=10)
    result.bars.append(punctual(result.samples.get("srv", [])))
    return result


def in_rounds(server: Server, turn: Turn) -> Turn:
    """A turn that also tells how long a batch round took, from one batch's start to the next one's."""

    def measured(seconds: float) -> Sample:
        before = executions(server)
        sample = turn(seconds)
        return {**sample, ROUND.key: 1000 * sample["seconds"] / max(1, executions(server) - before)}

    return measured


def executions(server: Server) -> int:
    """How many batches the model has run."""
    count: int = server.get("/v2/models/slow/stats")["model_stats"][0]["execution_count"]
    return count


def punctual(samples: list[Sample]) -> Bar:
    """Whether the slowest percent waits for less than three batches, in the best round."""
    asked = "p99 under 3 batch rounds"
    if not samples:
        return Bar(asked, "srv was not measured")
    best = min(samples, key=lambda sample: sample["p99"] / sample[ROUND.key])
    rounds = best["p99"] / best[ROUND.key]
    return Bar(
        asked, f"{shown(rounds)} rounds (p99 {shown(best['p99'])} ms, a round {shown(best['round'])} ms)", rounds < 3
    )
