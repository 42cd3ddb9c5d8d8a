"""What the guides say is so: files are written as they stand, commands are run, what they print is compared."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from servers import running

TOP = Path(__file__).parents[2]
GUIDES = [TOP / "README.md", *sorted((TOP / "docs").rglob("*.md")), *sorted(TOP.glob("contrib/*/README.md"))]
FENCE = re.compile(r"^```(?P<language>\w*) ?(?P<file>\S*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Block:
    language: str
    file: str
    text: str
    line: int


@dataclass
class Command:
    text: str
    printed: str


def blocks(guide):
    page = guide.read_text()
    return [
        Block(found["language"], found["file"], found["text"], page.count("\n", 0, found.start()) + 1)
        for found in FENCE.finditer(page)
    ]


def commands(console):
    """Each command behind a `$ `, with its further lines while a quote is open, and what it is said to print."""
    found = []
    for line in console.splitlines():
        if line.startswith("$ "):
            found.append(Command(line[2:], ""))
        elif found[-1].text.count("'") % 2:
            found[-1].text += "\n" + line
        else:
            found[-1].printed += line + "\n"
    return found


def same(expected, printed):
    """JSON is compared as JSON; in text, `…` stands for anything."""
    try:
        return json.loads(printed) == json.loads(expected)
    except ValueError:
        pattern = ".*".join(re.escape(part) for part in expected.strip().split("…"))
        return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


def follow(console, folder, environ, guide, *, address=""):
    """Do what the guide says, command by command; what follows `srv start` runs while it serves, on a free port."""
    for place, command in enumerate(console):
        if command.text.startswith("srv start ") and not command.text.endswith(" --help"):
            served, *flags = command.text.split()[2:]
            with running(folder / served, *flags) as server:
                follow(console[place + 1 :], folder, environ, guide, address=server.url().removeprefix("http://"))
                assert server.stop() == 0, server.output
            return
        text = command.text.replace("localhost:8080", address)
        done = subprocess.run(
            ["bash", "-c", text], cwd=folder, env=environ, capture_output=True, text=True, check=False
        )
        if not same(command.printed, done.stdout):
            pytest.fail(
                f"{guide.name} says that\n  {command.text}\nprints\n{command.printed}\nbut it printed\n{done.stdout}"
                f"\nand on stderr\n{done.stderr}",
                pytrace=False,
            )


@pytest.mark.e2e
@pytest.mark.parametrize(
    "guide",
    [guide for guide in GUIDES if any(block.language == "console" for block in blocks(guide))],
    ids=lambda guide: guide.relative_to(TOP).as_posix(),
)
def test_a_guide_does_what_it_says(guide, tmp_path):
    for block in blocks(guide):
        if block.file:
            file = tmp_path / block.file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text)
    console = [command for block in blocks(guide) if block.language == "console" for command in commands(block.text)]
    environ = {name: value for name, value in os.environ.items() if name != "COLUMNS" and not name.startswith("SRV_")}
    environ["PATH"] = f"{Path(sys.executable).parent}:{environ['PATH']}"
    follow(console, tmp_path, environ, guide)


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.relative_to(TOP).as_posix())
def test_code_in_a_guide_stands_in_a_file_that_is_run(guide):
    console = any(block.language == "console" for block in blocks(guide))
    stray = [block.line for block in blocks(guide) if block.language == "python" and not (block.file and console)]
    assert stray == []


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.relative_to(TOP).as_posix())
def test_links_in_a_guide_lead_somewhere(guide):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", re.sub(r"```.*?```", "", guide.read_text(), flags=re.DOTALL))
    broken = [link for link in links if "://" not in link and not (guide.parent / link).exists()]
    assert broken == []
