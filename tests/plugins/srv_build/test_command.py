import gc
import json
import os
import signal
import subprocess
import sys

import pytest
from servers import write_model

from srv.cli import run


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "my models"
    folder.mkdir()
    write_model(folder)
    return folder


@pytest.fixture
def no_builders(monkeypatch, short_path):
    monkeypatch.setenv("PATH", str(short_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{short_path}/none.sock")
    yield
    gc.collect()  # the Docker SDK leaves the socket that was refused


def test_a_tag_with_shell_characters_is_refused_before_anything_is_looked_at(tmp_path, capsys):
    (tmp_path / "settings.json").write_text("{ broken")
    assert run(["build", str(tmp_path), "-t", "acme:1;touch /tmp/x"]) == 2
    assert "'-t' / '--tag': 'acme:1;touch /tmp/x' is no name for an image. It is [" in capsys.readouterr().err


def test_an_unknown_builder_is_refused_with_those_there_are(folder, capsys):
    assert run(["build", str(folder), "-t", "acme", "--builder", "buildha"]) == 1
    assert capsys.readouterr().err == (
        "No builder is called 'buildha'; there are buildah, buildctl, buildx, docker, podman. Did you mean 'buildah'?\n"
    )


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_without_any_builder_each_says_why_and_srv_dockerfile_is_named(folder, no_builders, capsys, short_path):
    assert run(["build", str(folder), "-t", "acme"]) == 1
    assert capsys.readouterr().err == (
        "No builder can be used here. buildx: the program docker is not installed. docker: no engine answers at "
        f"unix://{short_path}/none.sock (No such file or directory). buildah: buildah is not installed. podman: podman "
        "is not installed. buildctl: buildkitd keeps no images, so add --push, or --output type=oci,dest=FILE. Have "
        f"one of them work, or write the Dockerfile for a builder elsewhere: srv dockerfile '{folder}'\n"
    )
    assert [path.name for path in folder.iterdir()] == ["double"]


@pytest.mark.e2e  # it makes a wheel
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_dry_run_needs_no_builder(folder, no_builders, capsys):
    assert run(["build", str(folder), "-t", "acme", "--dry-run"]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("# Serves this folder with srv.")
    assert "acme would be built of the text below, but not here. No builder can be used here. buildx: the" in told.err


# A program of ours in Buildah's place, because no real build takes long enough for certain; the real ones are in
# tests/images.
BUILDAH = """#!/bin/sh
[ "$1" = images ] && exit 0
echo "STEP 1/2: RUN sleep"
exec sleep 600
"""


@pytest.mark.e2e
@pytest.mark.parametrize("sent, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"])
def test_a_build_that_is_interrupted_leaves_nothing(folder, tmp_path, sent, code):
    programs, scratch = tmp_path / "bin", tmp_path / "scratch"
    programs.mkdir()
    scratch.mkdir()
    (programs / "buildah").write_text(BUILDAH)
    (programs / "buildah").chmod(0o755)
    environ = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "TMPDIR": str(scratch)}
    command = [sys.executable, "-m", "srv", "build", str(folder), "-t", "acme", "--builder", "buildah"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as building:
        said = ""
        while "RUN sleep" not in said:
            line = building.stderr.readline()
            assert line, said
            said += line
        building.send_signal(sent)
        out, rest = building.communicate(timeout=30)
    assert (building.returncode, out) == (code, "")
    assert "Traceback" not in rest
    assert list(scratch.iterdir()) == []
    assert [path.name for path in folder.iterdir()] == ["double"]


BAD_OPTIONS = {
    "--build-arg of nothing": (["--build-arg", "=1"], "'=1' names no ARG"),
    "--build-arg with a blank": (["--build-arg", "A B=1"], "'A B=1' names no ARG"),
    "--build-arg without a value": (["--build-arg", "NOT_SET_ANYWHERE"], "the environment has none for it"),
    "--label without a value": (["--label", "who"], "'who' is not NAME=VALUE"),
    "--label without a name": (["--label", "=who"], "'=who' is not NAME=VALUE"),
    "--platform of one word": (["--platform", "linux/amd64,arm64"], "'arm64' is no platform, such as linux/amd64"),
    "--output without a file": (["-o", "type=oci"], "'type=oci': it has no dest=FILE. It takes type=oci,dest=FILE"),
    "--output without a type": (["-o", "dest=x"], "'dest=x': it has no type=…"),
    "--cache-to of no folder": (["--cache-to", "type=local,src=x"], "it has no dest=…"),
    "--cache-from of no name": (["--cache-from", "type=registry,mode=max"], "it has no ref=…"),
    "--file that is not there": (["--file", "no/Dockerfile"], "'no/Dockerfile' does not exist"),
}


@pytest.mark.parametrize("options, words", BAD_OPTIONS.values(), ids=BAD_OPTIONS)
def test_an_option_that_says_nothing_is_wrong_usage(folder, options, words, capsys):
    assert run(["build", str(folder), "-t", "acme", *options]) == 2
    assert words in capsys.readouterr().err


CANNOT = {
    "an option": (
        ["--builder", "docker", "--sbom"],
        "The builder docker cannot do --sbom. buildctl, buildx can: choose one with --builder.\n",
    ),
    "two options that no other has together": (
        ["--builder", "buildah", "--sbom", "--load"],
        "The builder buildah cannot do --sbom. buildx can: choose one with --builder.\n",
    ),
    "a kind of cache": (
        ["--builder", "podman", "--cache-to", "type=gha"],
        (
            "The builder podman cannot do this: its caches are in registries, and --cache-to has type=gha; buildx and "
            "buildctl can.\n"
        ),
    ),
    "a kind of output": (
        ["--builder", "docker", "--output", "type=oci,dest=x.tar"],
        (
            "The builder docker cannot do this: it writes type=docker,dest=FILE, and --output has type=oci; the other "
            "builders can.\n"
        ),
    ),
    "two places": (
        ["--builder", "buildx", "--push", "--output", "image"],
        (
            "The builder buildx cannot do this: it gives an image to one place, so --push, --load and --output go in "
            "builds of their own.\n"
        ),
    ),
    "no place": (
        ["--builder", "buildctl"],
        (
            "The builder buildctl cannot do this: buildkitd keeps no images, so add --push, or --output "
            "type=oci,dest=FILE.\n"
        ),
    ),
    "several platforms in one engine": (
        ["--builder", "buildx", "--platform", "linux/amd64,linux/arm64"],
        (
            "The builder buildx cannot do this: an image for several platforms needs --push or --output "
            "type=oci,dest=FILE; --load works where the engine keeps images in containerd.\n"
        ),
    ),
}


@pytest.mark.parametrize("options, sentence", CANNOT.values(), ids=CANNOT)
def test_what_a_builder_cannot_do_is_said_before_anything_begins(folder, no_builders, options, sentence, capsys):
    assert run(["build", str(folder), "-t", "acme", *options]) == 1
    assert capsys.readouterr().err == sentence


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_without_a_name_only_builders_are_taken_that_can_do_what_is_asked(folder, no_builders, capsys):
    assert run(["build", str(folder), "-t", "acme", "--cache-to", "type=inline"]) == 1
    said = capsys.readouterr().err
    assert "docker: it cannot do --cache-to." in said
    assert "buildah: its caches are in registries, and --cache-to has type=inline; buildx and buildctl can." in said


def test_source_date_epoch_that_is_no_time_is_said(folder, monkeypatch, capsys):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    assert run(["build", str(folder), "-t", "acme"]) == 1
    assert capsys.readouterr().err.startswith(
        "SOURCE_DATE_EPOCH is 'yesterday', which is no time in seconds since 1970."
    )


def test_without_the_plugin_the_command_is_gone(folder, capsys):
    assert run(["--no-plugin", "build", "build", str(folder), "-t", "acme"]) != 0
    said = capsys.readouterr().err
    assert "build" in said
    assert "disabled" in said or "No such command" in said
    assert run(["--no-plugin", "build", "--help"]) == 0
    assert "\n  build " not in capsys.readouterr().out


def test_srv_plugins_lists_the_commands_and_with_no_plugin_both_are_disabled(capsys):
    def states(*words):
        assert run([*words, "plugins", "--json"]) == 0
        rows = json.loads(capsys.readouterr().out)
        return {
            row["name"]: row["state"]
            for row in rows
            if row["kind"] == "command" and row["name"] in ("build", "dockerfile")
        }

    assert states() == {"build": "found", "dockerfile": "found"}
    assert states("--no-plugin", "build", "--no-plugin", "dockerfile") == {
        "build": "disabled",
        "dockerfile": "disabled",
    }
