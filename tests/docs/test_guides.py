"""What the guides say is so: files are written as they stand, commands are run, what they print is compared."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
GUIDES = [TOP / "README.md", *sorted((TOP / "docs").rglob("*.md")), *sorted(TOP.glob("contrib/*/README.md"))]
FENCE = re.compile(r"^```(?P<language>\w*) ?(?P<file>\S*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
PORT = "localhost:8080"


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


@contextmanager
def served(words, folder, environ):
    """The server that a guide starts, on a free port, until the guide ends."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    log = folder / "srv.log"
    with log.open("w") as out:
        server = subprocess.Popen(
            [*words, "--http-port", str(port)], cwd=folder, env=environ, stdout=out, stderr=out, text=True
        )
        try:
            wait_ready(server, port, log)
            yield port
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=30)
    assert server.returncode == 0, log.read_text()


def wait_ready(server, port, log):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=5).close()
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    raise AssertionError(f"not ready after a minute:\n{log.read_text()}")


def follow(console, folder, environ, guide, *, port=None):
    """Do what the guide says, command by command; what follows `srv start` runs while it serves."""
    for place, command in enumerate(console):
        if command.text.startswith("srv start"):
            with served(command.text.split(), folder, environ) as started:
                follow(console[place + 1 :], folder, environ, guide, port=started)
            return
        text = command.text.replace(PORT, f"127.0.0.1:{port}")
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
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SRV_")}
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
