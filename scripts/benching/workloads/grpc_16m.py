"""gRPC, 16 MiB of raw contents, one number back."""

from benching.binaries import raw
from benching.results import Result
from benching.turns import Bench


def measure(bench: Bench) -> Result:
    """Two streams on one connection; the kserve SDK is held against too."""
    result = raw(bench, "grpc_16m", 16 << 20, 2, times=15)
    result.times_less("less CPU than the kserve SDK", "srv", "kserve", "cpu", least=1)
    return result
