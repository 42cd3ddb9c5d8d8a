"""Rendering of templates: every text is made before the first file is written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from srv.errors import SrvError
from srv.version import __version__
from srv_init.authors import Author
from srv_init.kinds import Scaffold
from srv_init.names import Names

TEMPLATES = Path(__file__).parent / "templates"
SUFFIX = ".jinja"


class FolderNotEmpty(SrvError):
    """The folder of the scaffold exists and is not empty."""

    def __init__(self, folder: Path, found: str) -> None:
        super().__init__(
            f"'{folder}' is not empty: '{found}' is in it. Nothing was written; choose another name, or another folder "
            "with --dir."
        )


class CannotWrite(SrvError):
    """The folder, or a file in it, could not be written."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(f"'{path}' could not be written: {error.strerror}. Choose another folder with --dir.")


def render(scaffold: Scaffold, names: Names, author: Author) -> dict[str, str]:
    """Return every file of a scaffold: its path below the scaffold's folder, and its text."""
    # Nothing here becomes HTML, so nothing is escaped as HTML; `toml` quotes what a stranger may have chosen.
    environment = Environment(  # noqa: S701
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["toml"] = lambda text: json.dumps(text, ensure_ascii=False)
    model = scaffold.model or names.plain
    facts = {
        "names": names,
        "model": model,
        "scaffold": scaffold,
        "author": author,
        "requires": sorted([*scaffold.requires, f"srv-inference{srv_range()}"]),
        "year": datetime.now(UTC).year,
    }
    return {
        path: environment.get_template(template).render(facts)
        for layer in scaffold.layers
        for template, path in _templates(layer, {"PACKAGE": names.package, "NAME": names.plain, "MODEL": model})
    }


def write(files: Mapping[str, str], folder: Path) -> None:
    """Write the files into a folder that is not there, or empty but for `.git`. Raises FolderNotEmpty, CannotWrite."""
    path = folder
    try:
        found = [entry.name for entry in folder.iterdir() if entry.name != ".git"] if folder.is_dir() else []
        if found:
            raise FolderNotEmpty(folder, min(found))
        for relative, text in files.items():
            path = folder / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CannotWrite(path, error) from error


def srv_range(version: str = __version__) -> str:
    """Return the releases of srv that a package made today works with: from this one to the next breaking one."""
    from packaging.version import Version

    running = Version(version)
    least = running.public if running.is_prerelease else f"{running.major}.{running.minor}"
    below = f"0.{running.minor + 1}" if running.major == 0 else str(running.major + 1)
    return f">={least},<{below}"


def _templates(layer: str, words: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each template of a layer, and the file that it becomes.

    In its path PACKAGE, NAME and MODEL stand for what `words` says, and `dot_` for a dot, so that no tool takes a
    template for a file of this project.
    """
    for template in sorted((TEMPLATES / layer).rglob(f"*{SUFFIX}")):
        path = template.relative_to(TEMPLATES / layer).as_posix().removesuffix(SUFFIX)
        for word, meaning in words.items():
            path = path.replace(word, meaning)
        yield template.relative_to(TEMPLATES).as_posix(), path.replace("dot_", ".")
