"""The builders by themselves, on Dockerfiles of two lines: what they tell, and how they fail."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from srv.images import BuildFailed, BuildOrder, Secret
from srv_build.buildx import Buildx
from srv_build.cli_builders import Buildah, Podman
from srv_build.docker_engine import DockerEngine

pytestmark = [
    pytest.mark.images,
    # The Docker SDK leaves its socket to the collector where a connection was refused.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

BUILDERS = {builder.name: builder for builder in (Buildx, DockerEngine, Buildah, Podman)}
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
    assert image.id.startswith("sha256:")
    counted = [1, 2] if builder.name == "buildx" else [1, 2, 3, 4]  # BuildKit counts what makes layers
    assert [event.step for event in events if event.begins] == counted
    assert "the word is please" in [event.text for event in events]
    events.clear()
    builder.build(order(text, **values), events.append)
    assert any(event.cached and event.step == counted[-1] - (len(counted) > 2) for event in events)


def test_a_secret_reaches_its_step_and_is_in_no_layer_and_no_history(builder, order, engines, tmp_path, monkeypatch):
    if "--secret" not in builder.heeds:
        pytest.skip(f"{builder.name} takes no secrets")
    monkeypatch.setenv("TOKEN", "hush-from-a-variable")
    (tmp_path / "token").write_text("hush-from-a-file")
    text = BASE + (
        "RUN --mount=type=secret,id=netrc,target=/root/.netrc,required=true "
        "--mount=type=secret,id=TOKEN,required=true "
        'TOKEN="$(cat /run/secrets/TOKEN)" && export TOKEN '
        '&& echo "$TOKEN/$(cat /root/.netrc)" | grep -x "hush.from.a.variable/hush.from.a.file" >/dev/null && touch /done\n'
    )
    secrets = (Secret("netrc", file=tmp_path / "token"), Secret("TOKEN", variable="TOKEN"))
    events = []

    image = builder.build(order(text, secrets=secrets, no_cache=True), events.append).id

    runner = engines.runner(builder.name)
    engines.run(runner, "save", "-o", tmp_path / "image.tar", image)
    told = engines.run(runner, "history", "--no-trunc", image).stdout + "".join(event.text for event in events)
    assert b"done" in (tmp_path / "image.tar").read_bytes()
    assert b"hush-from" not in (tmp_path / "image.tar").read_bytes()
    assert "hush-from" not in told


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


def test_an_engine_that_is_not_there_is_said_in_one_line(monkeypatch, short_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{short_path}/none.sock")
    assert (
        DockerEngine().unavailable()
        == f"no engine answers at unix://{short_path}/none.sock (No such file or directory)"
    )


def test_a_program_that_is_not_there_is_said_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Buildah().unavailable() == "buildah is not installed"
