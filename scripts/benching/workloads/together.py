"""HTTP and gRPC at the same time, on one worker: what each face's clients notice of the other's."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from benching.results import LOAD, Result, Sample
from benching.turns import Bench, GrpcTurn, Turn, http_turn, noted, take_turns
from benching.wire import check, check_call, in_contents, in_json, tensor

CLIENTS = 8
FACES = ("HTTP", "gRPC")
LONGER = 2.0


def measure(bench: Bench) -> Result:
    """Each face alone, then both, round by round."""
    how = f"Model sum, three numbers; {CLIENTS} connections over HTTP, {CLIENTS} streams on a connection over gRPC."
    result = Result("together", "HTTP and gRPC, alone and at the same time", LOAD[1:], how, ratios=False)
    request, call = in_json("sum", tensor("FP32", [3], [1.0, 2.5, 3.0])), in_contents("sum", [1.0, 2.5, 3.0])
    with noted(result, "srv"), ExitStack() as stack:
        server = stack.enter_context(bench.srv().serve("sum", "echo"))
        check(server, request, lambda numbers: numbers == [6.5])
        size = check_call(server, call, lambda numbers: numbers == [6.5])
        http = http_turn(server, request, CLIENTS, bench.http)
        both = AtOnce(http, GrpcTurn(server, call, CLIENTS, size))
        turns: dict[str, Turn] = {
            "HTTP alone": http,
            "gRPC alone": GrpcTurn(server, call, CLIENTS, size),
            "HTTP beside gRPC": lambda seconds: both.measure(seconds, "HTTP"),
            "gRPC beside HTTP": lambda seconds: both.measure(seconds, "gRPC"),
        }
        take_turns(bench, result, turns)
    return result


class AtOnce:
    """Turns of both faces at the same time."""

    def __init__(self, http: Turn, grpc: Turn) -> None:
        self._turns = dict(zip(FACES, (http, grpc), strict=True))

    def measure(self, seconds: float, face: str) -> Sample:
        """What one face gave; the other one's load lasts longer, so that it was there all the time."""
        (other,) = {*FACES} - {face}
        with ThreadPoolExecutor(1) as pool:
            beside = pool.submit(self._turns[other], LONGER * seconds)
            sample = self._turns[face](seconds)
            beside.result()
        return sample
