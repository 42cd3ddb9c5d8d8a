"""Programs that may take long: a line says what they do once a second has passed, and now and then that they still do."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from srv.cli.output import echo

#: Seconds until the first line, and between all further ones.
FIRST, NEXT = 1.0, 15.0
_TO_END = 30.0
_REMARK = re.compile(r"Running pip as the 'root' user|^WARNING: Location .* is ignored")
#: Nobody sees a question, because the output is kept: so that none is asked.
_NO_QUESTIONS = {"GIT_TERMINAL_PROMPT": "0", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "NO_COLOR": "1"}


class Ended(NamedTuple):
    """How a program ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def warnings(self) -> list[str]:
        """The lines of its stderr, without pip's remarks about root, and about places that have nothing of a name."""
        return [line for line in self.stderr.splitlines() if line.strip() and not _REMARK.search(line)]

    def last_lines(self, most: int = 15) -> list[str]:
        """Return the last lines that it said, of its stderr where there are any."""
        return (self.warnings or [line for line in self.stdout.splitlines() if line.strip()])[-most:]


def run(words: Sequence[str], doing: str) -> Ended:
    """Run a program to its end. `doing` is a sentence without a full stop for those who wait."""
    began = time.monotonic()
    pause = FIRST
    with subprocess.Popen(  # noqa: S603 - an installer, or our own Python
        list(words),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=os.environ | _NO_QUESTIONS,
    ) as program:
        try:
            while True:
                try:
                    stdout, stderr = program.communicate(timeout=pause)
                    return Ended(program.returncode, stdout, stderr)
                except subprocess.TimeoutExpired:
                    waited = time.monotonic() - began
                    echo(f"{doing} …" if pause == FIRST else f"{doing} … {waited:.0f} s", err=True)
                    pause = NEXT
        except KeyboardInterrupt:
            # The terminal has sent the program the same signal, and pip puts back what it has begun to change.
            with suppress(subprocess.TimeoutExpired):
                program.communicate(timeout=_TO_END)
            program.kill()
            raise
