"""Wheels of what is on no index: checkouts, local files, revisions of repositories, by PEP 610's direct_url.json."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import parse_wheel_filename
from packaging.version import Version

from srv_dockerfile.errors import SourceGone, WheelFailed

#: The time that wheels say they were made at, so that the same source gives the same bytes and builders' caches hold.
_EPOCH = "315532800"
_LAST_LINES = 12


def is_local(direct: dict[str, Any]) -> bool:
    """Whether only this machine can make it, or make it without git."""
    return urlsplit(direct["url"]).scheme == "file" or "vcs_info" in direct


def wheel_of(name: str, direct: dict[str, Any], folder: Path) -> Path:
    """Return a wheel of it in the folder. Raises SourceGone, WheelFailed."""
    url = urlsplit(direct["url"])
    if url.scheme != "file":
        vcs = direct["vcs_info"]
        return _built(name, f"{vcs['vcs']}+{direct['url']}@{vcs['commit_id']}", folder)
    source = Path(url2pathname(url.path))
    if not source.exists():
        raise SourceGone(name, source)
    if source.suffix == ".whl":
        return Path(shutil.copyfile(source, folder / source.name))
    return _built(name, str(source / direct.get("subdirectory", "")), folder)


def version_of(wheel: Path) -> str:
    """Return the version in a wheel's name."""
    return str(parse_wheel_filename(wheel.name)[1])


def _built(name: str, source: str, folder: Path) -> Path:
    with tempfile.TemporaryDirectory() as made, _outside(Path(made)) as settings:
        command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", f"{made}/wheels"]
        if _can_build_here(Path(source)):
            command.append("--no-build-isolation")
        environ = os.environ | {"SOURCE_DATE_EPOCH": _EPOCH, "PIP_DISABLE_PIP_VERSION_CHECK": "1"} | settings
        ended = subprocess.run(  # noqa: S603 - our own Python; the source is what pip itself noted
            [*command, "--", source], capture_output=True, text=True, errors="replace", check=False, env=environ
        )
        wheels = list(Path(made, "wheels").glob("*.whl"))
        if ended.returncode or not wheels:
            output = (ended.stderr or ended.stdout).strip().splitlines()
            raise WheelFailed(name, source, output[-_LAST_LINES:])
        return Path(shutil.move(wheels[0], folder / wheels[0].name))


@contextmanager
def _outside(folder: Path) -> Iterator[dict[str, str]]:
    """Return what makes setuptools work outside of the checkout, where it would leave a folder `build`."""
    extra = folder / "extra.cfg"
    extra.write_text(f"[build]\nbuild_base = {folder / 'built'}\n")
    yield {"DIST_EXTRA_CONFIG": str(extra)}


def _can_build_here(source: Path) -> bool:
    """Whether everything that builds it is installed here, so that no index is needed."""
    try:
        project = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))
        wanted = [Requirement(each) for each in project["build-system"]["requires"]]
        return all(metadata.version(each.name) in each.specifier for each in wanted) and _setuptools_makes_wheels()
    except (OSError, ValueError, LookupError, InvalidRequirement, metadata.PackageNotFoundError):
        return False


def _setuptools_makes_wheels() -> bool:
    """Whether setuptools is new enough to build without the package `wheel`, which virtual environments lack."""
    return Version(metadata.version("setuptools")) >= Version("70.1")
