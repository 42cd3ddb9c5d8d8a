"""Environments for model processes: a Python with packages of its own, and with srv from where the tests have it."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

from packing import METADATA, SITE

from srv.version import __version__

TOP = Path(__file__).parents[1]
#: A version of NumPy that the server does not have, with wheels for each Python that srv supports.
OTHER_NUMPY = "2.2.6" if importlib.metadata.version("numpy") != "2.2.6" else "2.1.3"
OTHER_PACKAGING = "24.2" if importlib.metadata.version("packaging") != "24.2" else "24.1"


def make(folder: Path, *requirements: str) -> Path:
    """Make a virtual environment with these requirements; what else srv is made of it has from the tests' own.

    So that it takes a second: an installation of srv with all it requires takes a minute on a busy machine.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    site = folder / SITE
    if requirements:
        pip("--target", site, *requirements)
    described = site / f"srv_inference-{__version__}.dist-info"
    described.mkdir()
    (described / "METADATA").write_text(METADATA)
    (described / "entry_points.txt").write_text(_entry_points())
    paths = [*map(str, (TOP / "core", TOP / "plugins")), sysconfig.get_path("purelib")]
    # In a line of code, because venv-pack does not pack what a plain line leads to.
    (site / "srv.pth").write_text(f"import sys; sys.path.extend({paths!r})\n")
    return folder


def pip(*words: object) -> None:
    """Install with pip, without what the requirements require."""
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-deps"]
    subprocess.run([*command, *map(str, words)], check=True, capture_output=True)


def packed(packer: str, folder: Path, archive: Path, tools: Path) -> Path:
    """Pack an environment by venv-pack or conda-pack, which pip installs into the folder of tools."""
    if not (tools / packer.replace("-", "_")).exists():
        pip("--target", tools, packer, "setuptools<81")
    module = {"venv-pack": "venv_pack.__main__", "conda-pack": "conda_pack.cli"}[packer]
    program = f"from {module} import main; main()"
    subprocess.run(
        [sys.executable, "-c", program, "--prefix", folder, "--output", archive, "--quiet"],
        env={**os.environ, "PYTHONPATH": str(tools)}, check=True, capture_output=True,
    )  # fmt: skip
    return archive


def _entry_points() -> str:
    entries = importlib.metadata.distribution("srv-inference").entry_points
    groups = {entry.group for entry in entries}
    return "\n".join(
        "\n".join([f"[{group}]", *(f"{entry.name} = {entry.value}" for entry in entries if entry.group == group)])
        for group in sorted(groups)
    )
