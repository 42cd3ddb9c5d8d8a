"""HTTP, 16 MiB of binary tensor, one number back."""

from benching.binaries import binary
from benching.results import Result
from benching.turns import Bench


def measure(bench: Bench) -> Result:
    """Beside a bare socket that reads as much."""
    return binary(bench, "binary_16m", 16 << 20)
