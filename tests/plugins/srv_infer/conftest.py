"""The server that the tests of `srv infer` ask, one for all files that a process runs."""

import pytest
from infer_runs import write_models
from servers import running


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("infer")
    write_models(folder)
    return folder


@pytest.fixture(scope="session")
def server(folder):
    with running(folder, "--workers", "2") as server:
        yield server
