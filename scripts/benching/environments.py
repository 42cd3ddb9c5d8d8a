"""What the benchmark needs: a virtual environment for each server, in a cache, and load generators from Debian."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).parents[2]
#: What an environment is made with; another one needs another environment.
INTERPRETER = f"{sys.implementation.cache_tag} {sys.base_prefix}"
#: For the benchmark itself: clients to check answers with, and plots.
TOOLS = ("matplotlib>=3.8", "numpy>=1.26", "tritonclient[grpc]>=2.40")
#: What the checkout installs from.
CORE = ("core", "plugins", "setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")
SOURCES = (*CORE, "contrib/srv-sklearn")
DEBIAN = {"wrk": "wrk", "h2load": "nghttp2-client"}


class NotInstalled(Exception):
    """Something could not be installed; the message says what and why."""


@dataclass(frozen=True)
class Environments:
    """The folder for virtual environments, and whether srv and the benchmark use the running Python instead."""

    cache: Path
    here: bool = False

    def tools(self) -> Path:
        """The Python for the benchmark itself."""
        return Path(sys.executable) if self.here else self.made("tools", TOOLS)

    def srv(self) -> Path:
        """A Python with srv and srv-sklearn as the checkout has them now."""
        if self.here:
            return Path(sys.executable)
        return self.made("srv", [digest(SOURCES)], install=lambda python, _: install_checkout(python, SOURCES))

    def srv_with(self, packages: Sequence[str], wanted: Sequence[str] = ()) -> Path:
        """A Python with srv, these folders of contrib/, and what else is wanted from the index."""
        if self.here:
            return Path(sys.executable)
        sources = (*CORE, *packages)
        install = lambda python, _: install_checkout(python, sources, wanted)  # noqa: E731
        return self.made("srv-runtimes", [digest(sources), *wanted], install=install)

    def made(
        self, name: str, wanted: Sequence[str], *, install: Callable[[Path, Sequence[str]], None] | None = None
    ) -> Path:
        """The Python of an environment that holds what is wanted; made anew when that changes. Raises NotInstalled."""
        folder = self.cache / name
        stamp, python = folder / "stamp", folder / "bin" / "python"
        with alone(self.cache):
            held = stamp.read_text().split("\n") if stamp.is_file() else []
            if held[:1] != [INTERPRETER]:
                say(f"Making the virtual environment {folder}.")
                shutil.rmtree(folder, ignore_errors=True)
                run("the virtual environment", [sys.executable, "-m", "venv", str(folder)])
            if held != [INTERPRETER, *wanted]:
                say(f"Installing into {folder}.")
                (install or pip)(python, wanted)
                stamp.write_text("\n".join([INTERPRETER, *wanted]))
        return python


@contextmanager
def alone(cache: Path) -> Iterator[None]:
    """One benchmark installs at a time; another one waits."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def pip(python: Path, wanted: Sequence[str]) -> None:
    """Install from the index."""
    run(" and ".join(wanted), [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", *wanted])


def install_checkout(python: Path, sources: Sequence[str], wanted: Sequence[str] = ()) -> None:
    """Install srv and packages of contrib/ as built packages, from a copy, because building leaves files behind."""
    with tempfile.TemporaryDirectory() as name:
        for source in sources:
            target = Path(name, source)
            target.parent.mkdir(parents=True, exist_ok=True)
            if (TOP / source).is_dir():
                litter = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", ".pytest_cache")
                shutil.copytree(TOP / source, target, ignore=litter)
            else:
                shutil.copy2(TOP / source, target)
        packages = [str(Path(name, source)) for source in sources if source.startswith("contrib/")]
        pip(python, [name, *packages, *wanted])


def digest(sources: Sequence[str]) -> str:
    """One word that changes with these sources."""
    told = hashlib.sha256()
    for source in sources:
        for path in sorted([TOP / source] if (TOP / source).is_file() else (TOP / source).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts and not path.match("*.egg-info/*"):
                told.update(path.relative_to(TOP).as_posix().encode() + path.read_bytes())
    return told.hexdigest()


def run(what: str, command: Sequence[str]) -> None:
    """Run a command that installs. Raises NotInstalled with its last line."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise NotInstalled(f"{what} could not be installed: {lines[-1] if lines else 'no reason was given'}")


def load_generators() -> list[str]:
    """Install wrk and h2load where they are missing and that can be done; a sentence for each that is missing still."""
    absent = [package for program, package in DEBIAN.items() if shutil.which(program) is None]
    if absent and os.geteuid() == 0 and shutil.which("apt-get"):
        say(f"Installing {' and '.join(absent)}.")
        environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for words in (["update"], ["install", "-y", "--no-install-recommends", *absent]):
            subprocess.run(["apt-get", "-qq", *words], check=False, capture_output=True, env=environ)
    return [
        f"{program} is not installed (Debian: apt-get install {package}); what needs it is left out."
        for program, package in DEBIAN.items()
        if shutil.which(program) is None
    ]


def say(sentence: str) -> None:
    """Tell whoever waits."""
    print(sentence, file=sys.stderr, flush=True)
