"""Installed distributions for tests: dist-info folders and modules in a folder of their own, put on sys.path."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

from pip._internal.models.index import PyPI

from srv.discovery import Plugins, discover

#: The index that pip asks where nothing else is said.
PUBLIC_INDEX: str = PyPI.simple_url

#: What a well-behaved plugin declares.
ANY_SRV = ("srv-inference>=0.1",)


class Site:
    """A site-packages folder; `discover` looks nowhere else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(
        self,
        name: str,
        entry_points: str,
        *,
        version: str = "1.0",
        requires: Sequence[str] = ANY_SRV,
        modules: Mapping[str, str] | None = None,
        files: Sequence[str] = (),
        folder: str = ".",
    ) -> Path:
        """Install a distribution; `modules` are sources by import name, `files` stand in its RECORD."""
        place = self.folder / folder
        info = place / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        head = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
        head += [f"Requires-Dist: {line}" for line in requires]
        (info / "METADATA").write_text("\n".join(head) + "\n\nA plugin.\n")
        (info / "entry_points.txt").write_text(dedent(entry_points))
        for module, source in (modules or {}).items():
            (place / f"{module}.py").write_text(dedent(source))
        for file in files:
            (place / file).parent.mkdir(parents=True, exist_ok=True)
            (place / file).touch()
        record = [*files, *(f"{module}.py" for module in modules or {})]
        (info / "RECORD").write_text("".join(f"{file},,\n" for file in record))
        return info

    def discover(self, **choice: object) -> Plugins:
        """What discovery finds here, and nowhere else."""
        return discover(path=[str(self.folder)], **choice)


@contextmanager
def installed_in(folder: Path) -> Iterator[Site]:
    """An empty site-packages on sys.path; what is imported from it is forgotten at the end."""
    sys.path.insert(0, str(folder))
    try:
        yield Site(folder)
    finally:
        sys.path.remove(str(folder))
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", "")).startswith(str(folder)):
                del sys.modules[name]


def states(plugins: Plugins) -> dict[str, str]:
    """Each row's state by `distribution:name`."""
    return {row.qualified: row.state.value for row in plugins.rows}
