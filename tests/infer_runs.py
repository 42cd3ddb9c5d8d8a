"""Runs of `srv infer` in processes of their own, and the models that tests of it ask."""

import io
import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from types import SimpleNamespace

from srv import cli

CODE = """
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from srv import InvalidInput, Runtime


class Double(Runtime):
    def predict(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return 2 * x


class Strict(Runtime):
    def predict(self, n: NDArray[np.int64]) -> NDArray[np.int64]:
        if (n % 100 == 13).any():
            raise InvalidInput("13 brings bad luck.")
        return n + 1


class Table(Runtime):
    def predict(self, city: list[str], rooms: NDArray[np.int64]) -> dict[str, NDArray]:
        return {"label": np.array([name.upper() for name in city], object), "pair": np.stack([rooms, rooms + 1], axis=1)}


class Shout(Runtime):
    def predict(self, text: list[str]) -> list[str]:
        return [each.upper() for each in text]


class Optional(Runtime):
    def predict(self, a: NDArray[np.int64], b: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        return a if b is None else a + b


class Ragged(Runtime):
    def predict(self, n: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.arange(n.max() + 1).reshape(len(n), -1)


class Held(Runtime):
    def predict(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        gate = Path(__file__).parents[1] / "gate"
        while x[0] >= 20 and gate.exists():
            time.sleep(0.01)
        return 2 * x


class Sum(Runtime):
    def predict(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return x.sum(keepdims=True)
"""


def write_models(folder):
    """Write each class of CODE as a model of its own."""
    for name in ("Double", "Strict", "Table", "Shout", "Optional", "Ragged", "Held", "Sum"):
        place = folder / name.lower()
        place.mkdir()
        (place / "models.py").write_text(CODE)
        (place / "model-settings.json").write_text(json.dumps({"implementation": f"models.{name}"}))


def command(server, model, source, output, *flags):
    words = [
        sys.executable,
        "-P",
        "-m",
        "srv",
        "infer",
        model,
        "--url",
        server.url(),
        "-i",
        str(source),
        "-o",
        str(output),
    ]
    return [*words, *map(str, flags)]


def run(server, model, source, output, *flags, code=0, url=None):
    """Run the command in this process; return what it printed. An empty URL leaves it to find the server of the folder."""
    place = server.url() if url is None else url
    words = ["infer", model, *(["--url", place] if place else []), "-i", source, "-o", output, *flags]
    with redirect_stdout(io.StringIO()) as stdout, redirect_stderr(io.StringIO()) as stderr:
        returned = cli.run([*map(str, words)])
    assert returned == code, stderr.getvalue()
    return SimpleNamespace(stdout=stdout.getvalue(), stderr=stderr.getvalue())


def run_apart(server, model, source, output, *flags, code=0, **options):
    """Run the command in a process of its own; return what it printed."""
    done = subprocess.run(
        command(server, model, source, output, *flags), capture_output=True, timeout=100, **{"text": True, **options}
    )
    assert done.returncode == code, done.stderr
    return done


def write_numbers(path, rows, head="x"):
    path.write_text(f"{head}\n" + "".join(f"{number}\n" for number in range(rows)))
    return path
