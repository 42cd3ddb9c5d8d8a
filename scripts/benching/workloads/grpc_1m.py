"""gRPC, 1 MiB of raw contents, one number back."""

from benching.binaries import raw
from benching.results import Result
from benching.turns import Bench


def measure(bench: Bench) -> Result:
    """Four streams on one connection."""
    return raw(bench, "grpc_1m", 1 << 20, 4, times=10)
