"""Output of builders: lines become events of steps, in Docker's form and in Buildah's and Podman's."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable

from srv.images import BuildEvent, BuildFailed, Progress
from srv_build.errors import failed

STEP = re.compile(
    r"Step (?P<step>\d+)/(?P<steps>\d+) : (?P<text>.*)"
    r"|(?:\[\d+/\d+\] )?STEP (?P<place>\d+)/(?P<places>\d+): (?P<words>.*)"
)
CACHED = re.compile(r"\s*-+> Using cache")
#: What builders say of themselves; it is no output of a step.
OF_ITS_OWN = re.compile(r"\s*-+> |Removing intermediate container |Error: |time=\"")
COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
KEPT = 15


class BuildOutput:
    """Reads the lines of one build, and keeps the last ones of the running step."""

    def __init__(self) -> None:
        self._step: int | None = None
        self._steps: int | None = None
        self._instruction = ""
        self._output: deque[str] = deque(maxlen=KEPT)

    def read(self, line: str) -> BuildEvent:
        """Return a line as an event."""
        text = COLOURS.sub("", line).rstrip()
        if (step := STEP.fullmatch(text)) is None:
            if text.strip() and not OF_ITS_OWN.match(text):
                self._output.append(text)
            return BuildEvent(text, self._step, self._steps, cached=CACHED.match(text) is not None)
        self._step = int(step["step"] or step["place"])
        self._steps = int(step["steps"] or step["places"])
        self._instruction = step["text"] or step["words"]
        self._output.clear()
        return BuildEvent(self._instruction, self._step, self._steps, begins=True)

    def telling(self, progress: Progress) -> Callable[[str], None]:
        """Return what reads a line and tells it."""
        return lambda line: progress(self.read(line))

    def failure(self, tag: str, reason: str) -> BuildFailed:
        """Return the failure of a build, at the step that ran last."""
        return failed(tag, self._instruction, self._output, reason)
