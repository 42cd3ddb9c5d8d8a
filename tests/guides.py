"""Guides as tests read them: the blocks of a page, the commands in them, and what these are said to print."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOP = Path(__file__).parents[1]
#: READMEs of packages once more, as pages of docs/, whose examples are run where they stand.
COPIES = sorted((TOP / "docs" / "runtimes").glob("*.md"))
GUIDES = [
    TOP / "README.md",
    *(page for page in sorted((TOP / "docs").rglob("*.md")) if page not in COPIES),
    *sorted(TOP.glob("contrib/*/README.md")),
]
FENCE = re.compile(r"^```(?P<language>\w*) ?(?P<file>\S*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Block:
    """What stands between two fences; `file` is where it belongs, `line` where it stands in the page."""

    language: str
    file: str
    text: str
    line: int

    def write(self, folder: Path) -> None:
        """Write it to where it belongs, below a folder."""
        file = folder / self.file
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.text)


@dataclass
class Command:
    """What is typed, and what it is said to print."""

    text: str
    printed: str


def shown(guide: Path) -> str:
    """How tests call a page."""
    return guide.relative_to(TOP).as_posix()


def blocks(guide: Path) -> list[Block]:
    """The blocks of a page, in order."""
    page = guide.read_text()
    return [
        Block(found["language"], found["file"], found["text"], page.count("\n", 0, found.start()) + 1)
        for found in FENCE.finditer(page)
    ]


def commands(console: str) -> list[Command]:
    """Each command behind a `$ `, with its further lines while a quote is open, and what it is said to print."""
    found: list[Command] = []
    for line in console.splitlines():
        if line.startswith("$ "):
            found.append(Command(line[2:], ""))
        elif found[-1].text.count("'") % 2:
            found[-1].text += "\n" + line
        else:
            found[-1].printed += line + "\n"
    return found


def console(guide: Path) -> list[Command]:
    """All commands of a page."""
    return [command for block in blocks(guide) if block.language == "console" for command in commands(block.text)]


def installs(guide: Path) -> bool:
    """Whether a page begins with a virtual environment of its own, so that it is followed in one."""
    return any(command.text.startswith("python3 -m venv ") for command in console(guide))


def alike(expected: Any, printed: Any) -> bool:
    """Whether a value of JSON is the expected one."""
    if isinstance(expected, dict) and isinstance(printed, dict):
        return expected.keys() == printed.keys() and all(alike(expected[key], printed[key]) for key in expected)
    if isinstance(expected, list) and isinstance(printed, list):
        return len(expected) == len(printed) and all(map(alike, expected, printed))
    return expected == "…" or bool(expected == printed)


def same(expected: str, printed: str) -> bool:
    """JSON is compared as JSON, where the value "…" stands for any; in text `…` does, and as a line for any lines or none."""
    try:
        return alike(json.loads(expected), json.loads(printed))
    except ValueError:
        parts = re.sub(r"\s*^…$\s*", "…", expected.strip(), flags=re.MULTILINE).split("…")
        pattern = ".*".join(re.escape(part) for part in parts)
        return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None
