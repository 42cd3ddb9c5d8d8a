"""Memory after 200,000 requests of mixed kinds on both faces."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median

from benching.binaries import is_seven, numbers
from benching.environments import say
from benching.load import h2load
from benching.processes import Server
from benching.results import Bar, Column, Result
from benching.turns import Bench, noted
from benching.wire import (
    METHOD,
    Call,
    Request,
    WrongAnswer,
    check,
    check_call,
    in_binary,
    in_contents,
    in_json,
    in_raw,
    tensor,
)

SLICES = 20
#: So many of each kind fill pools, caches and malloc's arenas before growth counts.
WARM = 3000


@dataclass(frozen=True)
class Kind:
    """So many of a request in each slice, of 10,000 in all."""

    count: int
    request: Request | Call
    parallel: int = 32


def kinds() -> tuple[Kind, ...]:
    """Small and large, good and bad, over HTTP and gRPC."""
    small = tensor("FP32", [3], [1.0, 2.5, 3.0])
    many = tensor("FP32", [4096], [0.5] * 4096)
    return (
        Kind(4000, in_json("sum", small)),
        Kind(300, Request("/v2/models/sum/infer", b'{"inputs": [')),
        Kind(200, in_json("nobody", small)),
        Kind(500, in_json("echo", many)),
        Kind(500, in_binary("last", numbers(1 << 16))),
        Kind(40, in_binary("last", numbers(1 << 20)), 4),
        Kind(3800, in_contents("sum", [1.0, 2.5, 3.0])),
        Kind(100, in_contents("nobody", [1.0])),
        Kind(500, in_raw("echo", numbers(1 << 16))),
        Kind(60, in_raw("last", numbers(1 << 20)), 4),
    )


def measure(bench: Bench) -> Result:
    """PSS of all processes after each slice."""
    result = Result(
        "memory",
        "Memory after 200,000 requests of mixed kinds on both faces",
        (
            Column("idle", "PSS MB idle"),
            Column("warm", "warm"),
            Column("first", "first 100,000"),
            Column("second", "second 100,000"),
        ),
        "Small and large, good and refused, JSON, binary, typed and raw.",
        axes=("requests", "PSS MB"),
    )
    with noted(result, "srv"), bench.srv().serve("sum", "echo", "last") as server:
        check(server, in_json("sum", tensor("FP32", [3], [1.0, 2.5, 3.0])), lambda answer: answer == [6.5])
        check_call(server, in_raw("last", numbers(1 << 20)), is_seven)
        idle = server.pss()
        points = [(float(done), server.pss()) for done in slices(server)]
        result.series["srv"] = [(0.0, idle), *points]
        first, second = halves(points)
        result.samples["srv"] = [{"idle": idle, "warm": points[0][1], "first": first, "second": second}]
        result.bars.append(flat(points))
    return result


def halves(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The median of the first and of the second half of what came after the warm-up; single points waver."""
    after = [memory for _, memory in points[1:]]
    return median(after[: len(after) // 2]), median(after[len(after) // 2 :])


def flat(points: Sequence[tuple[float, float]]) -> Bar:
    """Whether the second half holds as much as the first one."""
    first, second = halves(points)
    growth = f"{second - first:+.1f} MB (median of the first 100,000 {first:.1f}, of the second {second:.1f})"
    return Bar("flat", growth, second - first < 0.02 * first)


def slices(server: Server) -> Iterator[int]:
    """Warm up, send all kinds again and again, and tell each time how many requests there were."""
    mixed = kinds()
    say("memory: warming up")
    total = sum(send(server, replace(kind, count=max(kind.count, WARM))) for kind in mixed)
    yield total
    for number in range(SLICES):
        say(f"memory: {number + 1} of {SLICES}")
        total += sum(send(server, kind) for kind in mixed)
        yield total


def send(server: Server, kind: Kind) -> int:
    """Send one kind's share of a slice; every request must be answered, with whatever status."""
    request = kind.request
    if isinstance(request, Call):
        words = ["-m", str(kind.parallel), "-H", "content-type: application/grpc", "-H", "te: trailers"]
        done, *_ = h2load(f"http://127.0.0.1:{server.grpc_port}{METHOD}", request.frame(), kind.count, words)
    else:
        words = ["--h1", "-c", str(kind.parallel)]
        for name, value in request.headers:
            words += ["-H", f"{name}: {value}"]
        done, *_ = h2load(f"http://127.0.0.1:{server.port}{request.path}", request.body, kind.count, words)
    if done != kind.count:
        raise WrongAnswer(f"srv answered {done} of {kind.count}.")
    return done
