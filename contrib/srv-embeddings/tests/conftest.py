"""Fixtures of the tests: a model's folder, and a server for it."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from srv.testing import Client


@pytest.fixture
def served(tmp_path: Path):
    """Serve the model that a function writes into a folder, in process; further arguments are `parameters.extra`."""
    with ExitStack() as stack:

        def serve(make: Callable[[Path], object], **extra: object) -> Client:
            folder = tmp_path / "m"
            made = make(folder)
            settings = {"name": "m", "runtime": "embeddings", "parameters": {"uri": str(folder), "extra": extra}}
            client = stack.enter_context(Client.of(settings))
            client.made = made
            return client

        yield serve
