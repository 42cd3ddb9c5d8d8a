"""Conda environment files: what they ask for."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from srv_dockerfile.errors import BadCondaFile, PythonTooOld, TwoCondaFiles

FILES = ("environment.yaml", "environment.yml", "conda.yaml", "conda.yml")
OLDEST = (3, 11)

_NAME = re.compile(r"(?:[^:]*::)?\s*(?P<name>[A-Za-z0-9_.-]+)(?P<rest>.*)")
_PINNED = re.compile(r"\s*(?:==?|~=|\s)\s*(3\.\d+)")
_BOUND = re.compile(r"(?P<how>[<>=!~]*)\s*(?P<major>\d+)(?:\.(?P<minor>\d+))?[\w.*]*")


@dataclass(frozen=True)
class CondaFile:
    """One conda file: its name, its requirements of conda by name, and the lines for pip."""

    name: str
    packages: frozenset[str]
    pip: tuple[str, ...]
    #: The Python that the file asks for, such as `3.12`; None where it leaves that open.
    python: str | None = None

    def specs(self) -> list[str]:
        """Return what the environment needs beside the file: this machine's Python if the file names none, and pip."""
        python = [] if "python" in self.packages else [f"python={sys.version_info.major}.{sys.version_info.minor}"]
        return [*python, *([] if "pip" in self.packages else ["pip"])]


def conda_file(folder: Path) -> CondaFile | None:
    """Return the folder's conda file, or None without one. Raises TwoCondaFiles, BadCondaFile, PythonTooOld."""
    names = [name for name in FILES if (folder / name).is_file()]
    if not names:
        return None
    if len(names) > 1:
        raise TwoCondaFiles(names)
    packages, pip, python = set(), [], None
    for each in _dependencies(folder, names[0]):
        if isinstance(each, str) and (match := _NAME.fullmatch(each.strip())) is not None:
            packages.add(match["name"].lower())
            if match["name"].lower() != "python":
                continue
            if _is_too_old(match["rest"]):
                raise PythonTooOld(names[0], each)
            pinned = _PINNED.match(match["rest"])
            python = pinned[1] if pinned is not None else None
        elif isinstance(each, dict) and [*each] == ["pip"] and isinstance(each["pip"], list):
            pip += [str(line) for line in each["pip"]]
        else:
            raise BadCondaFile(names[0], f"nobody knows what the dependency '{each}' means")
    return CondaFile(names[0], frozenset(canonicalize_name(name) for name in packages), tuple(pip), python)


def _dependencies(folder: Path, name: str) -> list[Any]:
    import yaml

    try:
        document = yaml.safe_load((folder / name).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadCondaFile(name, f"it is no YAML ({' '.join(str(error).split())[:200]})") from None
    dependencies = document.get("dependencies") if isinstance(document, dict) else None
    if not isinstance(dependencies, list):
        raise BadCondaFile(name, "it has no list 'dependencies'")
    return dependencies


def _is_too_old(spec: str) -> bool:
    """Whether no Python that fits the spec is new enough; a spec that cannot be read is left to conda."""
    for bound in _BOUND.finditer(spec):
        version = int(bound["major"]), int(bound["minor"] or OLDEST[1])
        if bound["how"] in ("", "=", "==", "~=", "<=") and version < OLDEST:
            return True
        if bound["how"] == "<" and (int(bound["major"]), int(bound["minor"] or 0)) <= OLDEST:
            return True
    return False
