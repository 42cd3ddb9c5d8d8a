"""The builders by themselves, on Dockerfiles of two lines: what they tell, and how they fail."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from srv.images import BuildFailed, BuildOrder
from srv_build.docker_engine import DockerEngine
from srv_build.programs import Buildah, Podman

pytestmark = [
    pytest.mark.images,
    # The Docker SDK leaves its socket to the collector where a connection was refused.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

BUILDERS = {builder.name: builder for builder in (DockerEngine, Buildah, Podman)}
BASE = "FROM python:3.11-slim\n"


@pytest.fixture(params=BUILDERS)
def builder(request, engines, monkeypatch):
    engines.need(request.param)
    for name, value in engines.environ.items():
        monkeypatch.setenv(name, value)
    return BUILDERS[request.param]()


@pytest.fixture
def order(tmp_path):
    def make(text, **more):
        (tmp_path / "Dockerfile").write_text(text)
        return BuildOrder(tmp_path, tmp_path / "Dockerfile", ("srv-test:lines",), **more)

    return make


def test_a_builder_that_is_there_has_nothing_in_its_way(builder):
    assert builder.unavailable() is None


def test_steps_are_told_as_they_begin_and_what_is_kept_is_told_too(builder, order):
    text = BASE + "ARG WORD\nRUN echo the word is $WORD\n"
    values = {"build_args": {"WORD": "please"}, "labels": {"who": "a test"}}
    events = []
    image = builder.build(order(text, no_cache=True, **values), events.append)
    assert image.startswith("sha256:")
    assert [event.step for event in events if event.begins] == [1, 2, 3, 4]
    assert "the word is please" in [event.text for event in events]
    events.clear()
    builder.build(order(text, **values), events.append)
    assert any(event.cached and event.step == 3 for event in events)


FAILURES = {
    "a step": (
        BASE + "RUN echo what it says; echo and this >&2; exit 7\n",
        "at the step 'RUN echo what it says; echo and this >&2; exit 7': it ended with 7. Mend what the lines above",
    ),
    "the base": ("FROM nothing/at-all:9\n", "--base-image"),
    "a file": (BASE + "COPY nothing /\n", "at the step 'COPY nothing /'"),
}


@pytest.mark.parametrize("text, words", FAILURES.values(), ids=FAILURES)
def test_a_failure_is_one_sentence_with_the_step(builder, order, text, words):
    with pytest.raises(BuildFailed) as failure:
        builder.build(order(text), lambda _: None)
    assert words in str(failure.value)
    assert "\n" not in str(failure.value)
    assert sorted(failure.value.output) == (["and this", "what it says"] if "RUN" in text else [])


CTRL_C = """
import sys
from pathlib import Path
from srv.images import BuildOrder
from srv_build import {module}

folder = Path(sys.argv[1])
order = BuildOrder(folder, folder / "Dockerfile", ("srv-test:interrupted",), no_cache=True)
try:
    {module}.{name}().build(order, lambda event: print(event.text, flush=True))
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_ctrl_c_ends_what_the_builder_has_started(builder, order, tmp_path):
    order(BASE + "RUN echo going; sleep 301\n")
    kind = type(builder)
    code = CTRL_C.format(module=kind.__module__.partition(".")[2], name=kind.__name__)
    process = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    alarm = threading.Timer(60, process.kill)
    alarm.start()
    try:
        assert "going" in (line.strip() for line in process.stdout)
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.read().splitlines()[-1] == "interrupted"
        assert process.wait(30) == 0
    finally:
        alarm.cancel()
        process.kill()


def test_an_engine_that_is_not_there_is_said_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    assert (
        DockerEngine().unavailable() == f"no engine answers at unix://{tmp_path}/none.sock (No such file or directory)"
    )


def test_a_program_that_is_not_there_is_said_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Buildah().unavailable() == "buildah is not installed"
