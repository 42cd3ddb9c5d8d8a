"""The memory of a model of 500 MB with four workers: in each of them, and once in a process of its own."""

from benching.processes import CORES
from benching.results import Column, Result
from benching.turns import Bench, noted
from benching.wire import check, in_json, tensor

WORKERS = 4


def measure(bench: Bench) -> Result:
    """PSS of all processes of a server that has answered."""
    columns = (Column("pss", "PSS MB"), Column("ready", "ready after s"))
    how = f"{WORKERS} workers, and a model that makes an array of 500 MB when it is loaded."
    result = Result("process_memory", "A model of 500 MB with 4 workers", columns, how, ratios=False)
    for name, model_settings in (("in each worker", {}), ("in a process", {"process": True})):
        contestant = bench.srv(name, cores=CORES, settings={"workers": WORKERS}, model_settings=model_settings)
        with noted(result, name), contestant.serve("weights") as server:
            for _ in range(4 * WORKERS):
                check(server, in_json("weights", tensor("FP32", [2], [1.0, 2.0])), lambda answer: answer == [2.0, 3.0])
            result.samples[name] = [{"pss": server.pss(), "ready": server.ready_after}]
    result.times_less("at least 2 times less memory", "in a process", "in each worker", "pss", least=2)
    return result
