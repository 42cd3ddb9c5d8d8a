"""Wheels for tests: built by pip from sources, or written by hand where pip would refuse or take minutes."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import dedent, indent


def write_source(
    folder: Path, name: str, entry_points: str, modules: Mapping[str, str], *, version: str, requires: Sequence[str]
) -> Path:
    """The source of a distribution, as somebody writes it who has never seen this project."""
    source = folder / f"{name}-{version}"
    source.mkdir(parents=True)
    listed = {
        "py_modules": "\n".join(modules),
        "install_requires": "\n".join(requires),
    }
    options = "\n".join(f"{key} =\n{indent(value, '    ')}" for key, value in listed.items())
    (source / "setup.cfg").write_text(
        f"[metadata]\nname = {name}\nversion = {version}\n\n[options]\n{options}\n\n"
        f"[options.entry_points]\n{entry_points}\n"
    )
    (source / "setup.py").write_text("from setuptools import setup\n\nsetup()\n")
    for module, text in modules.items():
        (source / f"{module}.py").write_text(dedent(text))
    return source


def write_wheel(
    folder: Path,
    name: str,
    entry_points: str,
    modules: Mapping[str, str],
    *,
    version: str = "1.0",
    requires: Sequence[str] = ("srv-inference>=0.1,<1",),
) -> Path:
    """A wheel made by hand, with whatever entry_points.txt it is given."""
    stem = f"{name.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    files = {f"{module}.py": dedent(text) for module, text in modules.items()} | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        + "".join(f"Requires-Dist: {line}\n" for line in requires),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": entry_points,
    }
    record = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    wheel = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
        archive.writestr(f"{info}/RECORD", record)
    return wheel
