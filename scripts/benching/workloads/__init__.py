"""What is measured: a module for each workload, in the order of the page. Each has `measure(bench) -> Result`."""

from importlib import import_module

from benching.results import Result
from benching.turns import Bench

WORKLOADS = (
    "tiny",
    "iris",
    "runtimes",
    "numbers",
    "binary_1m",
    "binary_16m",
    "grpc_tiny",
    "grpc_1m",
    "grpc_16m",
    "together",
    "start",
    "start_iris",
    "batching",
    "batch_of_one",
    "memory",
    "blocking",
    "large",
    "workers",
    "threads",
    "spread",
    "process",
    "process_memory",
)


def measure(name: str, bench: Bench) -> Result:
    """Run one workload."""
    result: Result = import_module(f"benching.workloads.{name}").measure(bench)
    return result
