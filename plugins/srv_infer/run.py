"""A run: from the input to the output, with the journal and the file of failed rows beside it."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson

from srv.errors import SrvError
from srv_infer import sinks, sources
from srv_infer.answers import Answers
from srv_infer.errors import Interrupted, OutputThere, PipesCannotResume, Refused, SameFile, Stopped, Unresumable
from srv_infer.files import arrow_of, is_special, opened_alone, working_file, write_whole
from srv_infer.journal import Journal, Place, fingerprint, journal_of
from srv_infer.progress import Progress
from srv_infer.sending import Sender


@dataclass(frozen=True)
class Files:
    """The files of a run; `-` is standard input or output. `checked` is whether the file of failed rows must be a new one too."""

    source: str
    source_format: str
    output: str
    output_format: str
    failed: Path | None
    checked: bool = False
    delimiter: str = ","
    resume: bool = False
    force: bool = False

    def check(self) -> None:
        """Raise SameFile or OutputThere where the run would write over what somebody needs."""
        self._check_different()
        if self.output != "-" and not (self.resume or self.force):
            output = Path(self.output)
            if journal_of(output).exists():
                opened_alone(journal_of(output)).close()  # another run may be at it
                raise OutputThere(output, unfinished=True)
            for path in (output, self.failed if self.checked else None):
                if path is not None and path.exists() and not is_special(path):
                    raise OutputThere(path, unfinished=False)

    @property
    def can_resume(self) -> bool:
        """Whether a run over these files can go on after an interruption: neither is a pipe or a device."""
        return not any(name == "-" or is_special(Path(name)) for name in (self.source, self.output))

    def journal(self, settings: Mapping[str, Any]) -> Journal | None:
        """Begin or resume the journal of a run with these settings; None for pipes. Raises what a journal raises."""
        if not self.can_resume:
            if self.resume:
                raise PipesCannotResume
            return None
        run = {
            **settings,
            "input": fingerprint(Path(self.source)),
            "input format": self.source_format,
            "output format": self.output_format,
            "delimiter": self.delimiter,
            "file of failed rows": str(self.failed),
        }
        path = journal_of(Path(self.output))
        return Journal.resumed(path, run) if self.resume else Journal.begun(path, run)

    def discard(self, *, answers: bool) -> None:
        """Remove the journal of a run that has written no answer, and with `answers` the empty files of these.

        So the next run need not be told to --force.
        """
        if self.output == "-" or is_special(Path(self.output)):
            return
        output = Path(self.output)
        for path in (journal_of(output), *((output, arrow_of(output), self.failed) if answers else ())):
            if path is not None and not is_special(path):
                path.unlink(missing_ok=True)

    def _check_different(self) -> None:
        named = {
            "the input": self.source,
            "the output": self.output,
            "the file of failed rows": str(self.failed or "-"),
        }
        uses = [(use, name) for use, name in named.items() if name != "-" and not is_special(Path(name))]
        for place, (use, name) in enumerate(uses):
            for other_use, other in uses[place + 1 :]:
                if _are_same(name, other):
                    raise SameFile(other, use, other_use)


def _are_same(name: str, other: str) -> bool:
    try:
        return Path(name).samefile(other)
    except OSError:  # one of them is not there yet
        return Path(name).resolve() == Path(other).resolve()


@dataclass(frozen=True)
class Summary:
    """What a run has done; `before` are the rows that were done when it was resumed."""

    rows: int
    answered: int
    failed: int
    retried: int
    seconds: float
    before: int = 0

    def as_document(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "rows": self.rows,
            "answered": self.answered,
            "failed": self.failed,
            "resumed_from": self.before,
            "retried": self.retried,
            "seconds": round(self.seconds, 3),
            "rows_per_second": round((self.rows - self.before) / self.seconds, 1) if self.seconds else 0.0,
        }


@dataclass
class Run:
    """One run: sends all rows and writes all answers."""

    sender: Sender
    source: sources.Source
    files: Files
    batch_size: int
    shown: bool
    place: Place = field(default_factory=Place)
    _files_are_open: bool = False

    def whole(self, settings: Mapping[str, Any]) -> Summary:
        """Run to the end. Raises Stopped where the run can go on later, Interrupted, and what ends it for good."""
        started = time.monotonic()
        self.files.check()
        with ExitStack() as leaving:
            journal = self.files.journal(settings)
            if journal is not None:
                leaving.callback(journal.close)
            begun = self.place = journal.place if journal is not None else self.place
            try:
                self._send(journal, leaving)
            except BrokenPipeError:
                raise  # whoever reads the answers has enough of them
            except (OSError, SrvError, KeyboardInterrupt) as error:
                raise self._ended(error, journal) from None
            if journal is not None:
                journal.finished()
        seconds = time.monotonic() - started
        place = self.place
        return Summary(place.rows, place.answered, place.failed, self.sender.retried, seconds, begun.rows)

    def _send(self, journal: Journal | None, leaving: ExitStack) -> None:
        begun, files = self.place, self.files
        sink = sinks.opened(
            files.output, files.output_format, begun.out_bytes, rows=begun.rows, delimiter=files.delimiter
        )
        leaving.callback(sink.close)
        failed_rows = _FailedRows(files.failed, begun.failed_bytes)
        leaving.callback(failed_rows.close)
        progress = Progress(shown=self.shown, rows_before=begun.rows, failed_before=begun.failed)
        self._files_are_open = True
        batches = self.source.batches(self.batch_size, skip=begun.rows)
        given = self.sender.answers(batches, lambda: progress.wait(self.sender.trouble))
        leaving.enter_context(closing(given))
        try:
            for answers in given:
                if not self.place.rows and len(answers.failed) == answers.rows > 1:
                    raise Refused(answers.rows, answers.first_reason)
                out_bytes = sink.write(answers)  # first, because it may let rows fail
                place = self.place
                self.place = Place(
                    rows=answers.first + answers.rows,
                    out_bytes=out_bytes,
                    failed_bytes=failed_rows.write(answers),
                    answered=place.answered + answers.rows - len(answers.failed),
                    failed=place.failed + len(answers.failed),
                )
                if journal is not None:
                    journal.note(self.place)
                progress.tell(self.place.rows, self.place.failed, self.source.done())
            sink.finish()
        finally:
            progress.end()

    def _ended(self, error: BaseException, journal: Journal | None) -> BaseException:
        """Return the error that says why the run has ended and whether it can go on."""
        resumable = journal is not None and self.place.rows > 0
        if not (self.place.rows or self.files.resume):
            self.files.discard(answers=self._files_are_open)
        if isinstance(error, KeyboardInterrupt):
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second one ends the process at once
            return Interrupted(resumable=resumable)
        if isinstance(error, OSError):
            return Stopped(f"The output cannot be written: {error.strerror or error}", resumable=resumable)
        return Stopped(str(error), resumable=True) if resumable and not isinstance(error, Unresumable) else error


class _FailedRows:
    """The file of failed rows, JSON lines with number and reason; made when the first one fails."""

    def __init__(self, path: Path | None, at: int) -> None:
        self._path = path
        self._at = at
        self._file: IO[bytes] | None = working_file(path, at) if path is not None and at else None
        if path is not None and not at and not is_special(path):
            path.unlink(missing_ok=True)

    def write(self, answers: Answers) -> int:
        """Write a line for each failed row; return how long the file is then."""
        if answers.failed and self._path is not None:
            if self._file is None:
                self._file = working_file(self._path, 0)
            lines = [orjson.dumps({"row": row, "error": why}) + b"\n" for row, why in sorted(answers.failed.items())]
            self._at += write_whole(self._file, b"".join(lines))
        return self._at

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
