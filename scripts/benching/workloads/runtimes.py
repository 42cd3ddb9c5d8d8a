"""HTTP, one row and two thousand for a model of each library, beside the library's own call and MLServer's runtime."""

import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from benching.contestants import Contestant, MLServer
from benching.environments import NotInstalled
from benching.libraries import COUNTS, LIBRARIES, PROGRAM, Library, answers, train
from benching.processes import SERVER_CORE, pinned
from benching.results import CPU, THROUGHPUT, Column, Result, Sample
from benching.turns import Bench, Turn, http_turn, noted, take_turns
from benching.wire import check, in_json, tensor

#: One thread for each call, on every side.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
MANY = 4


def measure(bench: Bench) -> Result:
    """Numbers as JSON, which both servers speak; the answers are the library's own to six digits, on each side."""
    result = Result(
        "runtimes",
        "Runtimes beside the library's own call, and beside MLServer's",
        (CPU, Column("over", "µs over the call"), THROUGHPUT),
        f"Regressions with 4 features: a pipeline, a hundred trees, a network of two layers. JSON; one row over "
        f"{bench.connections} connections, 2,000 rows over {MANY}. One thread for each call. Each side's model is trained by the "
        "library in its environment, and µs are those over the call of the same library in srv's.",
        ratios=False,
    )
    try:
        python = bench.environments.srv_with([library.package for library in LIBRARIES.values()], trainers())
    except NotInstalled as error:
        result.notes.append(f"Nothing was measured: {error}")
        return result
    peer = mlserver(bench, result)
    for library in LIBRARIES.values():
        _measure_library(bench, result, library, python, peer)
    result.notes.append(versions(python, peer))
    return result


def trainers() -> list[str]:
    """What srv's runtimes do not bring."""
    return [library.trainer for library in LIBRARIES.values() if library.trainer]


def mlserver(bench: Bench, result: Result) -> MLServer | None:
    """MLServer with its runtimes, where it is among the peers and can be installed."""
    if "mlserver" not in [each.name for each in bench.peers]:
        return None
    release = MLServer.requirements[0].partition("==")[2]
    names = ["mlserver", *(library.peer for library in LIBRARIES.values() if library.mlserver)]
    try:
        python = bench.environments.made("mlserver-runtimes", [f"{name}=={release}" for name in names])
    except NotInstalled as error:
        result.notes.append(f"mlserver was not measured: {error}")
        return None
    return MLServer(python, environ=ONE_THREAD)


def _measure_library(bench: Bench, result: Result, library: Library, python: Path, peer: MLServer | None) -> None:
    contestants: list[Contestant] = [bench.srv(python=python, environ=ONE_THREAD)]
    if peer is not None and library.mlserver:
        contestants.append(peer)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack, noted(result, library.name):
        train(python, library.name, Path(folder))
        servers = []
        for contestant in contestants:
            with noted(result, f"{library.name}: {contestant.name}"):
                servers.append((contestant, stack.enter_context(contestant.serve(library.name))))
        for count in COUNTS:
            bare = _title(library, count, "the call")
            turns: dict[str, Turn] = {bare: _bare(python, library, Path(folder), count)}
            for contestant, server in servers:
                title = _title(library, count, contestant.name)
                with noted(result, title), tempfile.TemporaryDirectory() as theirs:
                    train(contestant.python, library.name, Path(theirs))
                    asked = answers(Path(theirs), count)
                    rows = tensor(library.datatype, [count, len(asked["rows"]) // count], asked["rows"], "input")
                    request = in_json(library.name, rows)
                    check(server, request, _is_like(asked["predict"]))
                    turns[title] = http_turn(server, request, bench.connections if count == 1 else MANY, bench.http)
            take_turns(bench, result, turns)
            _compare(result, bare, list(turns))


def _title(library: Library, count: int, who: str) -> str:
    return f"{library.name}, {count:,} row{'s' if count > 1 else ''}: {who}"


def _bare(python: Path, library: Library, folder: Path, count: int) -> Turn:
    def turn(seconds: float) -> Sample:
        command = [str(python), str(PROGRAM), "predict", library.name, str(folder), str(count), str(seconds)]
        words = pinned(["env", *(f"{name}={value}" for name, value in ONE_THREAD.items()), *command], [SERVER_CORE])
        printed = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
        return {"cpu": float(printed[-2]), "throughput": float(printed[-1])}

    return turn


def _is_like(expected: list[float]) -> Any:
    def right(numbers: list[Any]) -> bool:
        given = np.ravel(numbers)
        return given.shape == (len(expected),) and np.allclose(given, expected, rtol=1e-6, atol=1e-6)

    return right


def _compare(result: Result, bare: str, names: list[str]) -> None:
    """Add to each round of a server how much CPU it took beside the library's best call."""
    least = result.best(bare, "cpu")
    for name in names:
        if name != bare and least is not None:
            rounds = result.samples.get(name, [])
            result.samples[name] = [{**sample, "over": sample["cpu"] - least} for sample in rounds]


def versions(python: Path, peer: MLServer | None) -> str:
    """What the libraries are, on each side, as a sentence."""
    from benching.contestants import versions as of

    libraries = ["scikit-learn", "xgboost", "xgboost-cpu", "lightgbm", "catboost", "onnxruntime", "numpy"]
    said = {"srv": of(python, *libraries), **({} if peer is None else {"mlserver": of(peer.python, *libraries)})}
    return " ".join(
        f"With {name}: {', '.join(f'{each} {version}' for each, version in found.items())}."
        for name, found in said.items()
    )
