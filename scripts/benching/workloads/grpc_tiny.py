"""gRPC, three numbers as typed contents."""

from benching.results import Result
from benching.turns import Bench, over_grpc
from benching.wire import in_contents

STREAMS = 32


def measure(bench: Bench) -> Result:
    """The sum of three numbers."""
    result = Result("grpc_tiny", "gRPC, three numbers", how=f"Model sum, {STREAMS} streams on one connection.")
    call = in_contents("sum", [1.0, 2.5, 3.0])
    over_grpc(bench, result, bench.all(), ["sum", "echo"], call, lambda numbers: numbers == [6.5], streams=STREAMS)
    result.times_less("at least 3 times less CPU than MLServer", "srv", "mlserver", "cpu", least=3)
    return result
