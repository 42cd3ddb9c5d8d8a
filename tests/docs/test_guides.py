"""What the guides say is so: files are written as they stand, commands are run, what they print is compared."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from guides import GUIDES, blocks, console, installs, same, shown
from servers import running


def follow(commands, folder, environ, guide, *, address="", grpc=""):
    """Do what the guide says, command by command; what follows `srv start` runs while it serves, on a free port."""
    for place, command in enumerate(commands):
        if command.text.startswith("srv start ") and not command.text.endswith(" --help"):
            served, *flags = command.text.split()[2:]
            with running(folder / served, *flags) as server:
                address = server.url().removeprefix("http://")
                grpc = server.wait_for(r"listening on (\S+) for gRPC").group(1)
                follow(commands[place + 1 :], folder, environ, guide, address=address, grpc=grpc)
                assert server.stop() == 0, server.output
            return
        text = command.text.replace("localhost:8080", address).replace("localhost:8081", grpc)
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
    [guide for guide in GUIDES if console(guide) and not installs(guide)],
    ids=shown,
)
def test_a_guide_does_what_it_says(guide, tmp_path):
    for block in blocks(guide):
        if block.file:
            block.write(tmp_path)
    environ = {name: value for name, value in os.environ.items() if name != "COLUMNS" and not name.startswith("SRV_")}
    environ["PATH"] = f"{Path(sys.executable).parent}:{environ['PATH']}"
    follow(console(guide), tmp_path, environ, guide)


@pytest.mark.parametrize("guide", GUIDES, ids=shown)
def test_code_in_a_guide_stands_in_a_file_that_is_run(guide):
    stray = [
        block.line for block in blocks(guide) if block.language == "python" and not (block.file and console(guide))
    ]
    assert stray == []


@pytest.mark.parametrize("guide", GUIDES, ids=shown)
def test_links_in_a_guide_lead_somewhere(guide):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", re.sub(r"```.*?```", "", guide.read_text(), flags=re.DOTALL))
    broken = [link for link in links if "://" not in link and not (guide.parent / link).exists()]
    assert broken == []
