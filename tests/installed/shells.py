"""A shell that a guide's reader types into: it keeps its folder and its variables from one command to the next."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from guides import Command, blocks, commands, same, shown
from servers import running

from .conftest import QUICK


class Shell:
    """Runs commands as bash does, one after the other, in a folder, with variables of its own beside the test's."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self.cwd = folder
        # Outside of the folder, since a reader has no such file.
        self._state = folder.parent / f"{folder.name}.state"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SRV_", "PYTHON", "COLUMNS"))}
        self.environ = kept | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            **QUICK,
            **variables,
        }

    def run(self, text: str) -> subprocess.CompletedProcess[str]:
        """Run one command, and keep where it went and what it set. Both its streams come as one."""
        line = f"{text}\nstatus=$?\n{{ pwd; env -0; }} >'{self._state}'\nexit $status"
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=self.cwd,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        where, _, variables = self._state.read_text().partition("\n")
        self.cwd = Path(where)
        self.environ = dict(variable.split("=", 1) for variable in variables.split("\0") if "=" in variable)
        return done

    @contextmanager
    def serving(self, text: str) -> Iterator[str]:
        """Run a `srv start` beside what follows, on free ports; gives where it listens."""
        folder, *flags = text.split()[2:]
        python = Path(self.environ["VIRTUAL_ENV"]) / "bin/python"
        with running(self.cwd / folder, *flags, python=python) as server:
            yield server.url().removeprefix("http://")
            assert server.stop() == 0, server.output


def follow(guide: Path, shell: Shell) -> None:
    """Do what a page says, block by block: write its files, run its commands, compare what they print.

    A server runs until the end of its block. A command that is said to print nothing must succeed, whatever it prints:
    pip has warnings for many machines. One that is said to print something may fail.
    """
    top = shell.cwd
    for block in blocks(guide):
        if block.language == "console":
            _follow(commands(block.text), shell, f"{shown(guide)}, line {block.line}")
        elif block.file:
            block.write(top)


def _follow(typed: Sequence[Command], shell: Shell, where: str, *, address: str = "") -> None:
    for place, command in enumerate(typed):
        if command.text.startswith("srv start"):
            with shell.serving(command.text) as listening:
                _follow(typed[place + 1 :], shell, where, address=listening)
            return
        done = shell.run(command.text.replace("localhost:8080", address))
        right = same(command.printed, done.stdout) if command.printed else done.returncode == 0
        if not right:
            raise AssertionError(
                f"{where}: this command\n  {command.text}\nis said to print\n{command.printed}\nand printed\n"
                f"{done.stdout}\nwith exit code {done.returncode}."
            )
