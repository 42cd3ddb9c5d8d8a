"""What the guides say is so: files are written as they stand, commands are run, what they print is compared."""

import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import distributions, version
from pathlib import Path

import click
import pytest
from guides import COPIES, GUIDES, TOP, blocks, console, installs, same, shown
from servers import running

from srv.cli import CommandLine, cli


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


def lacks_its_package(guide):
    """Whether a guide is the README of a package in contrib/ that is not installed, as heavy ones are not everywhere."""
    return guide.parent.parent.name == "contrib" and not any(distributions(name=guide.parent.name))


@pytest.mark.e2e
@pytest.mark.parametrize(
    "guide",
    [guide for guide in GUIDES if console(guide) and not installs(guide)],
    ids=shown,
)
def test_a_guide_does_what_it_says(guide, tmp_path):
    if lacks_its_package(guide):
        pytest.skip("Its package is not installed here; scripts/test heavy follows it where it is.")
    if guide.name == "commands.md" and tuple(map(int, version("click").split(".")[:2])) < (8, 5):
        pytest.skip("Help texts are printed as click 8.5 does; older ones word the usage otherwise.")
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


INDEXED = re.compile(r"pip install .*srv-[a-z]+\b")


@pytest.mark.parametrize(
    "guide",
    [guide for guide in GUIDES if any(INDEXED.search(block.text) for block in blocks(guide))],
    ids=shown,
)
def test_a_guide_that_takes_srv_from_the_index_says_what_to_do_until_it_is_there(guide):
    assert guide.name == "install.md" or re.search(r"until srv is\spublished", guide.read_text(), re.IGNORECASE)
    assert guide.name == "install.md" or re.search(r"\]\([^)]*install\.md\)", guide.read_text())


@pytest.mark.parametrize("guide", [*GUIDES, *COPIES, TOP / "CONTRIBUTING.md", TOP / "SECURITY.md"], ids=shown)
def test_links_in_a_guide_lead_somewhere(guide):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", re.sub(r"```.*?```", "", guide.read_text(), flags=re.DOTALL))
    broken = [link for link in links if "://" not in link and not (guide.parent / link).exists()]
    assert broken == []


def typed(guide):
    """The calls of srv in blocks that are not run because they need an engine, a registry or a cluster: their words."""
    text = "\n".join(block.text for block in blocks(guide) if block.language == "bash").replace("\\\n", "")
    for line in text.splitlines():
        found = re.match(r"(?:\w+=(?:\$\(.*\)|\S+) )*srv (?P<words>\w.*)", line)
        if found is not None:
            yield shlex.split(found["words"].partition(" | ")[0], comments=True)


@pytest.mark.parametrize("guide", [guide for guide in GUIDES if any(typed(guide))], ids=shown)
def test_a_command_that_a_guide_does_not_run_is_one_that_srv_takes(guide, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").touch()
    for words in typed(guide):
        for word in words[1:]:
            if re.fullmatch(r"[a-z]\w*", word):
                Path(word).mkdir(exist_ok=True)
                Path(word, "Dockerfile").touch()
        for variable in {name for word in words for name in re.findall(r"[A-Z][A-Z_]{3,}", word)} - {"HOME"}:
            monkeypatch.setenv(variable, "given")
        command = cli.get_command(click.Context(cli, obj=CommandLine()), words[0])
        while isinstance(command, click.Group):
            words = words[1:]
            command = command.get_command(click.Context(command), words[0])
        command.make_context(words[0], [os.path.expandvars(word) for word in words[1:]])
