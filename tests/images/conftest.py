"""One engine for all tests of images: the one that is there, or our own, which is ended again."""

import gc
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
SCRIPT = TOP / "scripts/engine"


def pytest_collection_modifyitems(items):
    """Give each test a quarter of an hour: the first that needs the engine may wait for its packages and the base image."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(autouse=True)
def no_socket_is_left():
    """The Docker SDK leaves sockets to the garbage collector; what that says of them belongs to the test that ran."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def engines():
    """The engine at DOCKER_HOST or the default socket, else one that scripts/engine brings up."""
    from .engines import Engines, engine_answers, obstacles, own_environ

    environ = own_environ()
    if engine_answers(environ):
        yield Engines(environ, obstacles(environ))
        return
    was_up = subprocess.run([SCRIPT, "status"], check=False).returncode == 0
    answer = subprocess.run(
        [SCRIPT, "up", "docker", "buildah", "micromamba"], capture_output=True, text=True, check=False
    )
    if answer.returncode:
        pytest.skip(
            f"No engine answers, and scripts/engine can bring up none: {answer.stderr.strip().splitlines()[-1]}"
        )
    more = subprocess.run([SCRIPT, "up", "buildx", "registry"], capture_output=True, text=True, check=False)
    told = (more if more.returncode == 0 else answer).stdout  # without them, what needs them says so and is skipped
    environ |= dict(line.split("=", 1) for line in told.splitlines())
    yield Engines(environ, obstacles(environ))
    if not was_up:
        subprocess.run([SCRIPT, "down"], check=True)
