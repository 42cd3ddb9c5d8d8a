"""Output of BuildKit's programs with --progress=plain: steps that run side by side, each line with its number."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from srv.errors import SrvError
from srv.images import BuildEvent, Progress
from srv_build.build_output import COLOURS, KEPT
from srv_build.errors import NotPushed, failed

LINE = re.compile(r"#(?P<number>\d+) (?P<text>.*)")
#: `[2/5] RUN …`, and in a stage with a name `[environment 2/5] RUN …` or `[linux/arm64 environment 2/5] RUN …`.
STEP = re.compile(r"\[(?:(?P<stage>[^\]]+?) +)?(?P<step>\d+)/(?P<steps>\d+)\] (?P<words>.*)")
#: Output of a program in a step: the seconds since the step began stand before it.
SAID = re.compile(r"\d+\.\d+ (?P<text>.*)")
#: What is told at the end once more: the failed step's output, and the place in the Dockerfile.
REPEATED = re.compile(r"(?: > |-{6}|Dockerfile:\d+|-{20}|\s+\d+ \||ERROR: |error: )")
#: How the last sentence begins, whatever failed, and how it names a step that ended with a code.
SOLVING = re.compile(r'failed to solve: (?:process ".*" did not complete successfully: )?')


@dataclass
class _Step:
    words: str = ""
    step: int | None = None
    steps: int | None = None
    output: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT))
    error: str = ""


class BuildKitOutput:
    """Reads the lines of one build, and keeps the last ones of every step."""

    def __init__(self) -> None:
        self._steps: dict[int, _Step] = {}

    def read(self, line: str) -> BuildEvent | None:
        """Return a line as an event; None for what is told for the second time, and for empty lines."""
        text = COLOURS.sub("", line).rstrip()
        if (found := LINE.fullmatch(text)) is None:
            return None if not text or REPEATED.match(text) else BuildEvent(text)
        number, said = int(found["number"]), found["text"]
        known = self._steps.get(number)
        if known is None:
            return self._begin(number, said)
        if said == known.words or said == "..." or said.startswith("DONE "):
            return None  # it goes on, waits or has ended
        if said == "CACHED":
            return BuildEvent(known.words, known.step, known.steps, cached=True)
        if said.startswith("ERROR: "):
            known.error = said.removeprefix("ERROR: ")
            return BuildEvent(said, known.step, known.steps)
        if (output := SAID.fullmatch(said)) is not None:
            said = output["text"]
            known.output.append(said)
        return BuildEvent(said, known.step, known.steps)

    def _begin(self, number: int, said: str) -> BuildEvent:
        step = STEP.fullmatch(said)
        if step is None:
            self._steps[number] = _Step(said)
            return BuildEvent(said)
        begun = _Step(said, int(step["step"]), int(step["steps"]))
        self._steps[number] = begun
        words = f"{step['stage']}: {step['words']}" if step["stage"] else step["words"]
        return BuildEvent(words, begun.step, begun.steps, begins=True)

    def telling(self, progress: Progress) -> Callable[[str], None]:
        """Return what reads a line and tells it, where it tells something."""

        def tell(line: str) -> None:
            if (event := self.read(line)) is not None:
                progress(event)

        return tell

    def failure(self, tag: str, reason: str, *, pushes: bool = False) -> SrvError:
        """Return the failure of a build, at the step that failed first; those that it cancelled are no reason.

        Where the image was built and only its registry refused it, that is what failed.
        """
        steps = [step for step in self._steps.values() if step.error and "context canceled" not in step.error]
        broken = steps[0] if steps else _Step()
        if pushes and broken.words.startswith(("exporting to", "pushing ")):
            return NotPushed(tag, SOLVING.sub("", reason))
        step = STEP.fullmatch(broken.words)
        instruction = step["words"] if step is not None else ""
        return failed(tag, instruction, broken.output, SOLVING.sub("", reason))
