"""The stand-in for the micromamba image, built in every engine that is up."""

import tempfile
from pathlib import Path

from engining import docker, storage
from engining.machine import say, state

TAG = "mambaorg/micromamba:2-bookworm"
CONTEXT = Path(__file__).parent / "micromamba"


def up() -> None:
    """Build it with dockerd, and hand it to buildah and podman where they are set up."""
    docker.up()
    say(f"building a stand-in for {TAG}")
    network = docker.variables()["ENGINE_NETWORK"]
    options = ["--network", "host"] if network == "host" else []
    docker.docker("build", "--quiet", *options, "-t", TAG, str(CONTEXT), env={"DOCKER_BUILDKIT": "0"})
    built = docker.docker("images", "-q", "--no-trunc", TAG).strip()
    if storage.variables() and not storage.has(built.removeprefix("sha256:")):
        with tempfile.TemporaryDirectory(dir=state()) as scratch:
            docker.docker("save", "-o", f"{scratch}/image.tar", TAG)
            storage.podman("load", "-q", "-i", f"{scratch}/image.tar")
