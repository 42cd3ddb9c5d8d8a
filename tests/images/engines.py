"""Engines and builders for tests, and the containers that they run."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http

TOP = Path(__file__).parents[2]
PATIENCE = 120.0


@dataclass(frozen=True)
class Engines:
    """What the machine has: variables that point at it, and for each builder why it can not be used."""

    environ: Mapping[str, str]
    obstacles: Mapping[str, str] = field(default_factory=dict)

    def run(
        self, *words: str | Path, check: bool = True, cwd: Path | None = None, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program that finds the engines; its output is in the answer, and in the failure."""
        answer = subprocess.run(
            words, env={**self.environ, **environ}, cwd=cwd, capture_output=True, text=True, check=False
        )
        assert not check or answer.returncode == 0, f"{words}:\n{answer.stdout}{answer.stderr}"
        return answer

    def srv(self, *words: str | Path, check: bool = True, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run srv."""
        return self.run(sys.executable, "-P", "-m", "srv", *words, check=check, **environ)

    def need(self, builder: str) -> None:
        """Skip the test where the builder can not be used."""
        if builder in self.obstacles:
            pytest.skip(f"Not run with {builder}: {self.obstacles[builder]}.")

    @property
    def docker(self) -> str:
        """The Docker client."""
        return self.environ.get("DOCKER_CLIENT", "docker")

    def runner(self, builder: str) -> str:
        """What runs the images of a builder."""
        return "podman" if builder in {"buildah", "podman"} else self.docker

    def image(self, builder: str, tag: str) -> dict[str, Any]:
        """What the builder knows of an image."""
        [told] = json.loads(self.run(self.runner(builder), "image", "inspect", tag).stdout)
        return told

    def health_check(self, builder: str, tag: str) -> list[str]:
        """The program that the image names as its health check."""
        told = self.image(builder, tag)
        how, *words = (told.get("Healthcheck") or told["Config"]["Healthcheck"])["Test"]  # Podman has it at the top
        assert how == "CMD"
        return words

    @contextmanager
    def container(self, builder: str, tag: str, *options: str, **environ: str) -> Iterator[Container]:
        """A container of an image on the machine's own network, on free ports; nothing is left of it."""
        ports = {"SRV_HTTP_PORT": free_port(), "SRV_GRPC_PORT": free_port()}
        given = [f"--env={name}={value}" for name, value in {**ports, "SRV_HOST": "127.0.0.1", **environ}.items()]
        runner = self.runner(builder)
        name = self.run(runner, "run", "--detach", "--network=host", *given, *options, tag).stdout.strip()
        try:
            yield Container(self, runner, name, int(ports["SRV_HTTP_PORT"]), int(ports["SRV_GRPC_PORT"]))
        finally:
            self.run(runner, "rm", "--force", name, check=False)


@dataclass(frozen=True)
class Container:
    """A container that runs a server."""

    engines: Engines
    runner: str
    name: str
    http_port: int
    grpc_port: int

    def wait_ready(self) -> Container:
        """Wait until it is ready. Fails where it ends before."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/v2/health/ready", timeout=5):
                    return self
            except OSError:
                assert self.state()["Running"], self.logs()
                assert time.monotonic() < until, self.logs()
            time.sleep(0.1)

    def infer(self, model: str, *values: float) -> tuple[list[float], list[float]]:
        """What the model makes of the numbers, over REST and over gRPC."""
        return self._infer(tritonclient.http, self.http_port, model, values), self._infer(
            tritonclient.grpc, self.grpc_port, model, values
        )

    def _infer(self, kind: Any, port: int, model: str, values: tuple[float, ...]) -> list[float]:
        given = kind.InferInput("x", [len(values)], "FP64")
        given.set_data_from_numpy(np.array(values))
        with kind.InferenceServerClient(f"127.0.0.1:{port}") as client:
            answer = client.infer(model, [given])
            told = answer.get_response()
            name = told["outputs"][0]["name"] if isinstance(told, dict) else told.outputs[0].name
            return answer.as_numpy(name).tolist()

    def state(self) -> dict[str, Any]:
        """What its engine says of it."""
        [told] = json.loads(self.engines.run(self.runner, "inspect", self.name).stdout)
        return told["State"]

    def logs(self) -> str:
        """Everything it printed."""
        answer = self.engines.run(self.runner, "logs", self.name, check=False)
        return answer.stdout + answer.stderr

    def execute(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program in it."""
        return self.engines.run(self.runner, "exec", self.name, *words, check=check)

    def stop(self) -> int:
        """Send SIGTERM to its first process, and give the exit code."""
        self.engines.run(self.runner, "kill", "--signal=TERM", self.name)
        code = self.engines.run(self.runner, "wait", self.name).stdout.strip()
        return int(code)


def free_port() -> str:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return str(server.getsockname()[1])


def engine_answers(environ: Mapping[str, str]) -> bool:
    """Whether an engine answers at DOCKER_HOST or at the default socket."""
    client = shutil.which(environ.get("DOCKER_CLIENT", "docker"))
    if client is None:
        return False
    return subprocess.run([client, "version"], env=dict(environ), capture_output=True, check=False).returncode == 0


def obstacles(environ: Mapping[str, str]) -> dict[str, str]:
    """Why each builder can not be used; those that can are not there."""
    found = {}
    if not engine_answers(environ):
        found["docker"] = found["buildkit"] = found["buildx"] = "no Docker engine answers"
    elif not _has_buildkit(environ):
        found["buildkit"] = "the Docker client here has no BuildKit"
    if "docker" not in found and not _has_buildx(environ):
        found["buildx"] = "the Docker client on PATH has not its plugin buildx"
    if "REGISTRY" not in environ:
        found["registry"] = "no variable REGISTRY names one to push to"
    for program in ("buildah", "podman"):
        if shutil.which(program) is None:
            found[program] = f"{program} is not installed"
    return found


def _has_buildx(environ: Mapping[str, str]) -> bool:
    """Whether `docker`, which srv calls by that name, has the plugin; an old client says its own version instead."""
    if shutil.which("docker", path=environ.get("PATH")) is None:
        return False
    told = subprocess.run(
        ["docker", "buildx", "version"], env=dict(environ), capture_output=True, text=True, check=False
    )
    return told.returncode == 0 and "buildx" in told.stdout


def _has_buildkit(environ: Mapping[str, str]) -> bool:
    """Clients before 23 have it inside, later ones as a plugin."""
    client = environ.get("DOCKER_CLIENT", "docker")
    told = subprocess.run(
        [client, "version", "--format", "{{.Client.Version}}"],
        env=dict(environ),
        capture_output=True,
        text=True,
        check=False,
    )
    plugin = subprocess.run([client, "buildx", "version"], env=dict(environ), capture_output=True, check=False)
    return plugin.returncode == 0 or int(told.stdout.partition(".")[0] or 99) < 23


def own_environ() -> dict[str, str]:
    """This process's variables, without srv's."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SRV_")}
