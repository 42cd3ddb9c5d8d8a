"""A real server for whatever may come, and the claim that it takes it and goes on."""

import json
import os
from contextlib import contextmanager
from pathlib import Path

import pytest
from servers import running

CODE = """
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srv import InferenceRequest, InferenceResponse, Runtime


class Echo(Runtime):
    def predict(self, request: InferenceRequest) -> InferenceResponse:
        return InferenceResponse(request.inputs, request.parameters)

    def predict_stream(self, request: InferenceRequest) -> Iterator[InferenceResponse]:
        yield self.predict(request)


class Typed(Runtime):
    def predict(
        self, x: NDArray[np.float32], words: list[str] | None = None, flags: NDArray[np.bool_] | None = None
    ) -> dict[str, Any]:
        return {"x": x, "words": words or ["none"]}

    def predict_stream(self, x: NDArray[np.float32], words: list[str] | None = None) -> Iterator[dict[str, Any]]:
        yield {"x": x}
        yield {"words": words or ["none"]}


class Writer(Runtime):
    def predict(self, text_input: list[str]) -> list[str]:
        return text_input

    def predict_stream(self, text_input: list[str]) -> Iterator[list[str]]:
        for letter in "".join(text_input)[:5]:
            yield [letter]
"""
MODELS = {"echo": "Echo", "typed": "Typed", "writer": "Writer", "spare": "Echo"}
#: How much a worker may grow by what a test asks of it: pools, caches and arenas fill, and then it stays.
GROWTH = 100 * 2**20
DESCRIPTORS = 20


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "settings.json").write_text(json.dumps({"access_log": False, "max_body_size": 10_000_000}))
    for name, runtime in MODELS.items():
        place = folder / name
        place.mkdir()
        (place / "models.py").write_text(CODE)
        settings = {"implementation": f"models.{runtime}", "parameters": {"version": "1"}}
        (place / "model-settings.json").write_text(json.dumps(settings))
    with running(folder) as server:
        yield server


@pytest.fixture
def outlived(server, figure, request):
    """Claims at the end that no worker died, that none has grown, and that the log has nothing that nobody foresaw."""

    @contextmanager
    def claim():
        before, said = server.workers(), len(server.lines)
        memory, files = usage(before)
        yield
        assert server.workers() == before
        assert server.get("/v2/health/ready").status == 200
        now, open_files = usage(before)
        figure(f"{request.node.name}: {(now - memory) / 2**20:+.1f} MiB, {open_files - files:+d} open files")
        assert now < memory + GROWTH
        assert open_files < files + DESCRIPTORS
        assert "Traceback" not in "\n".join(server.lines[said:])

    return claim


def usage(pids):
    """What processes have in memory, in bytes, and how many files they have open."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE"), sum(len([*Path(f"/proc/{pid}/fd").iterdir()]) for pid in pids)
