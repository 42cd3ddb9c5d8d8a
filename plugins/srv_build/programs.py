"""Programs that build: started with lists of arguments, read line by line, ended with the command."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from srv.images import Secret

#: How lines begin that say why a program failed: Buildah and Podman, BuildKit's programs, theirs before 2023.
ERRORS = ("Error: ", "ERROR: ", "error: ")
#: Seconds that a program has to clean up after SIGTERM.
GRACE = 20


class ProgramFailed(Exception):
    """A program ended with an exit code other than 0; the text is its reason."""


def asked(*command: str) -> str:
    """Return what a program prints. Raises ProgramFailed with its last words, also where it cannot be started."""
    try:
        answer = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)  # noqa: S603 - a list
    except OSError as error:
        raise ProgramFailed(f"{command[0]}: {error.strerror}") from None
    if answer.returncode == 0:
        return answer.stdout.decode(errors="replace")
    said = [line for line in answer.stderr.decode(errors="replace").splitlines() if line.strip()]
    raise ProgramFailed(_plain(said[-1].strip()) if said else ended(command[0], answer.returncode))


def run(command: Sequence[str], read: Callable[[str], object], environment: Mapping[str, str] | None = None) -> None:
    """Run a program and give each line to `read`. Raises ProgramFailed with the reason that the program gave last."""
    reason = ""
    try:
        with _started(command, {**(environment or {}), **os.environ}) as process:
            assert process.stdout is not None
            for line in process.stdout:
                read(line)
                if line.startswith(ERRORS):
                    reason = _plain(line.strip())
    except OSError as error:
        raise ProgramFailed(f"{command[0]} cannot be run: {error.strerror}") from None
    if process.returncode:
        raise ProgramFailed(reason or ended(command[0], process.returncode))


def ended(program: str, code: int) -> str:
    """Return how a program ended, in words: which signal killed it, or its exit code."""
    if code >= 0:
        return f"{program} ended with {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    if -code == signal.SIGKILL:
        return f"{program} was killed by {name}, as systems do with a program when memory runs out"
    return f"{program} was killed by {name}"


def argument(name: str, values: Mapping[str, str]) -> str:
    """Return NAME alone, with the value in the environment, because every user of the machine can read arguments.

    A name that the environment uses for something else goes with its value.
    """
    return name if os.environ.get(name, values[name]) == values[name] else f"{name}={values[name]}"


def secret_words(secret: Secret) -> str:
    """Return a secret as every program's --secret takes it: by its file, or by the name of its variable."""
    return f"id={secret.id}," + (f"env={secret.variable}" if secret.file is None else f"src={secret.file}")


def _plain(line: str) -> str:
    for beginning in ERRORS:
        line = line.removeprefix(beginning)
    return line


@contextmanager
def _started(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Start a program with both outputs in one; at the end it is terminated and waited for, so that it cleans up."""
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
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stdout is not None:
            process.stdout.close()
