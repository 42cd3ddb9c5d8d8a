"""The builders `buildah` and `podman`: programs that need no daemon, called with lists of arguments."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from srv.images import Builder, BuildOrder, Progress
from srv_build.errors import NotPushed
from srv_build.steps import Steps

#: How the line begins that says why a program failed.
ERROR = "Error: "


class ProgramFailed(Exception):
    """What a program said when it ended with an exit code that is not 0."""


class Program(Builder):
    """A command line whose `build` and `push` take Buildah's arguments."""

    def unavailable(self) -> str | None:
        """Why the program can not be used here: it is not installed, or has no storage that it may write."""
        if (program := shutil.which(self.name)) is None:
            return f"{self.name} is not installed"
        command = [program, "images", "-q"]
        asked = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)  # noqa: S603 - a list
        if asked.returncode == 0:
            return None
        said = asked.stderr.decode(errors="replace").strip().splitlines() or [f"it ended with {asked.returncode}"]
        return said[-1].removeprefix(ERROR)

    def build(self, order: BuildOrder, progress: Progress) -> str:
        """Build in Docker's format, because the other has no health check; in layers, so that steps are kept."""
        steps = Steps()
        options = ["--format", "docker", "--layers", "--file", str(order.dockerfile)]
        options += [word for tag in order.tags for word in ("--tag", tag)]
        options += ["--no-cache"] if order.no_cache else []
        options += ["--platform", order.platform] if order.platform else []
        options += [word for name in order.build_args for word in ("--build-arg", _argument(name, order.build_args))]
        options += [word for name, value in order.labels.items() for word in ("--label", f"{name}={value}")]
        with tempfile.TemporaryDirectory(prefix="srv-") as scratch:
            told = Path(scratch) / "id"
            command = ["build", *options, "--iidfile", str(told), str(order.context)]
            try:
                self._run(command, steps, progress, order.build_args)
            except ProgramFailed as error:
                raise steps.failure(order.tags[0], str(error)) from None
            image = told.read_text().strip()
        for tag in order.tags if order.push else ():
            try:
                self._run(["push", tag], Steps(), progress)
            except ProgramFailed as error:
                raise NotPushed(tag, str(error)) from None
        return image

    def _run(
        self,
        arguments: Sequence[str],
        steps: Steps,
        progress: Progress,
        more_environment: Mapping[str, str] | None = None,
    ) -> None:
        reason = ""
        with _started([self.name, *arguments], {**(more_environment or {}), **os.environ}) as process:
            assert process.stdout is not None
            for line in process.stdout:
                progress(steps.read(line))
                if line.startswith(ERROR):
                    reason = line.removeprefix(ERROR).strip()
        if process.returncode:
            raise ProgramFailed(reason or f"{self.name} ended with {process.returncode}")


class Buildah(Program):
    """The program buildah."""

    name = "buildah"


class Podman(Program):
    """The program podman; its service is an engine for the builder `docker` too."""

    name = "podman"


def _argument(name: str, values: Mapping[str, str]) -> str:
    """By its name only, with the value in the environment, because all who are on the machine can read arguments.

    A name that the environment uses for something else goes with its value.
    """
    return name if os.environ.get(name, values[name]) == values[name] else f"{name}={values[name]}"


@contextmanager
def _started(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A program with both outputs in one; it is ended and waited for, whatever happens here, so that it clears away."""
    process = subprocess.Popen(  # noqa: S603 - a list of arguments; no shell reads it
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        text=True,
        errors="replace",
    )
    try:
        yield process
        process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
