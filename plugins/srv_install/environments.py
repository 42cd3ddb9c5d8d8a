"""The environment that runs srv: what kind it is, who manages it, and whether it may be changed."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import sysconfig
import tomllib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from srv.discovery.plugin import normalised

#: PEP 668: where this file stands beside the standard library, a package manager of the system owns what is installed.
_MANAGED = "EXTERNALLY-MANAGED"
_PIPX = "pipx_metadata.json"
_UV_TOOL = "uv-receipt.toml"


@dataclass(frozen=True)
class Environment:
    """A Python environment, as its folders say."""

    python: str
    prefix: Path
    #: Where packages are installed to.
    packages: Path
    is_virtual: bool = False
    is_conda: bool = False
    is_of_pipx: bool = False
    #: What `uv tool install` was given, srv first, each by name and as uv takes it; None for any other environment.
    uv_tool: tuple[tuple[str, str], ...] | None = None
    is_managed: bool = False
    has_pip: bool = False
    #: The program uv, where it is on the PATH.
    uv: str | None = None

    @property
    def kind(self) -> str:
        """What it is, in a few words."""
        if self.is_of_pipx:
            return "pipx environment"
        if self.uv_tool is not None:
            return "uv tool environment"
        if self.is_virtual:
            return "virtual environment"
        return "conda environment" if self.is_conda else "system's Python"

    @property
    def note(self) -> str:
        """What somebody should know who installs into it; empty for most."""
        if self.is_conda and not self.is_virtual:
            return "conda keeps no record of what pip installs: name it under pip: in the environment's file too."
        return ""

    @property
    def is_writable(self) -> bool:
        """Whether this user may change what is installed."""
        return os.access(self.packages, os.W_OK)

    def __str__(self) -> str:
        return f"the {self.kind} {self.prefix} (Python {platform.python_version()})"


def environment_here() -> Environment:
    """Return the environment of the running Python."""
    return environment_of(
        python=sys.executable,
        prefix=Path(sys.prefix),
        base=Path(sys.base_prefix),
        packages=Path(sysconfig.get_path("purelib")),
        stdlib=Path(sysconfig.get_path("stdlib", sysconfig.get_default_scheme())),
        has_pip=find_spec("pip") is not None,
        uv=shutil.which("uv"),
    )


def environment_of(
    *, python: str, prefix: Path, base: Path, packages: Path, stdlib: Path, has_pip: bool, uv: str | None
) -> Environment:
    """Return what the folders of a Python installation say of it."""
    is_virtual = prefix != base
    return Environment(
        python=python,
        prefix=prefix,
        packages=packages,
        is_virtual=is_virtual,
        is_conda=(prefix / "conda-meta").is_dir(),
        is_of_pipx=(prefix / _PIPX).is_file(),
        uv_tool=_tool(prefix / _UV_TOOL),
        is_managed=not is_virtual and (stdlib / _MANAGED).is_file(),
        has_pip=has_pip,
        uv=uv,
    )


def _tool(receipt: Path) -> tuple[tuple[str, str], ...] | None:
    """Return the requirements in uv's receipt, each by name and as uv takes it, the tool first; None without a receipt."""
    try:
        said: dict[str, Any] = tomllib.loads(receipt.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return ()
    listed = said.get("tool", {}).get("requirements", [])
    return tuple((normalised(each["name"]), _as_uv_takes(each)) for each in listed if isinstance(each, dict))


def _as_uv_takes(requirement: dict[str, Any]) -> str:
    name = requirement["name"]
    if "path" in requirement or "editable" in requirement:
        return str(requirement.get("path") or requirement["editable"])
    if "url" in requirement:
        return f"{name} @ {requirement['url']}"
    if "git" in requirement:
        return f"{name} @ git+{requirement['git']}"
    return f"{name}{requirement.get('specifier', '')}"
