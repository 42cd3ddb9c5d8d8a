"""HTTP, a body of 16 MiB for an app that does not look at it: the workers alone, without srv's app."""

from contextlib import ExitStack

from benching.binaries import CLIENT, swallowing
from benching.results import Result
from benching.turns import Bench, Turn, http_turn, noted, take_turns
from benching.wire import Request


def measure(bench: Bench) -> Result:
    """Worker of srv, gunicorn's gthread (whose app must read it), and a bare socket."""
    result = Result("large", "HTTP, 16 MiB to an app that does not look: workers alone", how="One connection.")
    request = Request("/", bytes(16 << 20), (("Content-Type", "application/octet-stream"),))
    with ExitStack() as stack:
        turns: dict[str, Turn] = {}
        for kind in ("srv", "gthread", "bare"):
            with noted(result, kind):
                server = stack.enter_context(swallowing(kind, bench.python))
                turns[server.name] = http_turn(server, request, 1, CLIENT)
        take_turns(bench, result, turns)
    return result
