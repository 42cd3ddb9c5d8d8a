"""A fresh virtual environment with srv installed as its users install it: from a wheel, with all it requires."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .indexes import serving

TOP = Path(__file__).parents[2]
PARTS = ("core", "plugins", "contrib", "setup.cfg", "setup.py", "pyproject.toml", "README.md", "LICENSE")
#: What is never imported need not be compiled; Python compiles the rest. For pip a false value of no-compile means so.
QUICK = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_COMPILE": "0"}


class Environment:
    """A virtual environment, and what runs in it: away from the checkout, without its variables."""

    def __init__(self, folder, copied=None):
        self.folder = folder
        self.bin = folder / "bin"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SRV_", "PYTHON"))}
        self.environ = kept | QUICK | {"PATH": f"{self.bin}:{os.environ['PATH']}"}
        if copied is None:
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        else:
            self._copy(copied)

    def _copy(self, other):
        """Become what another environment is, under a path of its own: programs and pyvenv.cfg name where they are."""
        shutil.copytree(other.folder, self.folder, symlinks=True)
        for path in [*self.bin.iterdir(), self.folder / "pyvenv.cfg"]:
            if not path.is_symlink() and path.is_file():
                path.write_bytes(path.read_bytes().replace(bytes(other.folder), bytes(self.folder)))

    def run(self, *words, check=True, cwd=None):
        """Run a program of the environment; its output is in the answer, and in the failure."""
        answer = subprocess.run(
            [self.bin / words[0], *words[1:]],
            cwd=cwd or self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or answer.returncode == 0, answer.stdout + answer.stderr
        return answer

    def pip(self, *words, cwd=None):
        return self.run("python", "-m", "pip", "--quiet", *words, cwd=cwd)


def build_wheels(folder, *sources):
    """Build wheels of sources as pip does, with the setuptools that is here instead of one installed for each of them."""
    build = [
        sys.executable,
        "-m",
        "pip",
        "--quiet",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        folder,
    ]
    subprocess.run([*build, *sources], check=True)
    return sorted(folder.glob("*.whl"))


def copy_checkout(folder):
    """What wheels are made of, as a fresh clone has it."""
    folder.mkdir()
    for name in PARTS:
        part = TOP / name
        if part.is_dir():
            shutil.copytree(part, folder / name, ignore=shutil.ignore_patterns("*.egg-info", "__pycache__", "build"))
        else:
            shutil.copy(part, folder / name)


@pytest.fixture(scope="session")
def wheels(tmp_path_factory):
    """The wheels of this checkout: srv's, and those of the packages in contrib/, by name."""
    folder = tmp_path_factory.mktemp("srv")
    source = folder / "source"
    copy_checkout(source)
    sources = [source, *sorted((source / "contrib").iterdir())]
    return {wheel.name.partition("-")[0].replace("_", "-"): wheel for wheel in build_wheels(folder, *sources)}


@pytest.fixture(scope="session")
def srv_wheel(wheels):
    return wheels["srv-inference"]


@pytest.fixture(scope="session")
def index(wheels):
    """An index that has this checkout's packages, as if they were published."""
    with serving(list(wheels.values())) as index:
        yield index


@pytest.fixture(scope="session")
def only_srv(srv_wheel, tmp_path_factory):
    """What the others are copies of, because a copy takes a second and an installation half a minute."""
    environment = Environment(tmp_path_factory.mktemp("only_srv") / "venv")
    environment.pip("install", str(srv_wheel))
    return environment


@pytest.fixture(scope="session")
def environment(only_srv, tmp_path_factory):
    return Environment(tmp_path_factory.mktemp("installed") / "venv", copied=only_srv)


@pytest.fixture
def fresh_environment(only_srv, tmp_path):
    """A further environment, which nobody else has touched, with srv and pytest."""
    environment = Environment(tmp_path / "venv", copied=only_srv)
    environment.pip("install", "pytest")
    return environment
