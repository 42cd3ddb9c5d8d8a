"""Markers of requirements, judged for the image: Linux and the image's Python, whatever runs here."""

from __future__ import annotations

import re
import sys

from packaging.markers import default_environment

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
#: What the machines of other systems are called by Linux.
_MACHINES = {"arm64": "aarch64", "ARM64": "aarch64", "AMD64": "x86_64"}
_PYTHON = re.compile(r"(?:^|/)python:(\d+\.\d+)")


def image_environment(python: str = HERE) -> dict[str, str]:
    """Return the values of markers in an image with that Python, `3.12` for example. Its machine is taken for this one's."""
    here = {name: str(value) for name, value in default_environment().items()}
    full = here["python_full_version"] if python == HERE else f"{python}.0"
    return {
        **here,
        "extra": "",
        "implementation_name": "cpython",
        "implementation_version": full,
        "os_name": "posix",
        "platform_machine": _MACHINES.get(here["platform_machine"], here["platform_machine"]),
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": full,
        "python_version": python,
        "sys_platform": "linux",
    }


def python_of(base_image: str) -> str:
    """Return the Python of an image by its name; this machine's where the name does not tell."""
    found = _PYTHON.search(base_image)
    return found[1] if found is not None else HERE
