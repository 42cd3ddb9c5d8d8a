"""A run: from the input to the output, with the journal and the file of failed rows beside it."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from srv.errors import SrvError
from srv_infer import sinks, sources
from srv_infer.errors import OutputThere, PipesCannotResume, Refused, Stopped
from srv_infer.journal import Journal, Place, fingerprint, journal_of
from srv_infer.progress import Progress
from srv_infer.sending import Sender, is_of_server
from srv_infer.sinks import Answers, working_file, write_whole


@dataclass(frozen=True)
class Files:
    """The files of a run; `-` is standard input or output."""

    source: str
    source_format: str
    output: str
    output_format: str
    failed: Path | None
    resume: bool = False
    force: bool = False

    @property
    def can_resume(self) -> bool:
        """Whether a run over these files can go on after an interruption."""
        return "-" not in (self.source, self.output)

    def journal(self, model: str, version: str | None) -> Journal | None:
        """Begin or resume the journal; None for pipes. Raises where the output is there already, or the journal is not."""
        if not self.can_resume:
            if self.resume:
                raise PipesCannotResume
            if self.output != "-":
                self._check_free(Path(self.output))
            return None
        output = Path(self.output)
        path = journal_of(output)
        run = {
            "model": model,
            "version": version,
            "input": fingerprint(Path(self.source)),
            "format": self.output_format,
        }
        if self.resume:
            return Journal.resumed(path, run)
        self._check_free(output)
        return Journal.begun(path, run)

    def _check_free(self, output: Path) -> None:
        unfinished = journal_of(output).exists()
        if (unfinished or output.exists()) and not self.force:
            raise OutputThere(output, unfinished=unfinished)


@dataclass(frozen=True)
class Summary:
    """What a run has done."""

    rows: int
    answered: int
    failed: int
    retried: int
    seconds: float

    def as_document(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "rows": self.rows,
            "answered": self.answered,
            "failed": self.failed,
            "retried": self.retried,
            "seconds": round(self.seconds, 3),
            "rows_per_second": round(self.rows / self.seconds, 1) if self.seconds else 0.0,
        }


def run(sender: Sender, source: sources.Source, files: Files, *, batch_size: int, shown: bool) -> Summary:
    """Send all rows and write all answers. Raises Stopped where the run can go on later, and what ends it for good."""
    started = time.monotonic()
    with ExitStack() as closing:
        journal = files.journal(sender.model, sender.version)
        if journal is not None:
            closing.callback(journal.close)
        begun = journal.place if journal is not None else Place()
        sink = sinks.opened(files.output, files.output_format, begun.out_bytes)
        closing.callback(sink.close)
        failed_rows = _FailedRows(files.failed, begun.failed_bytes)
        closing.callback(failed_rows.close)
        progress = Progress(shown=shown, rows_before=begun.rows)
        place = begun
        try:
            batches = source.batches(batch_size, skip=begun.rows)
            for answers in sender.answers(batches):
                if not place.rows and len(answers.failed) == answers.rows > 1:
                    raise Refused(answers.rows, next(iter(answers.failed.values())))
                place = Place(
                    rows=answers.first + answers.rows,
                    out_bytes=sink.write(answers),
                    failed_bytes=failed_rows.write(answers),
                    answered=place.answered + answers.rows - len(answers.failed),
                    failed=place.failed + len(answers.failed),
                )
                if journal is not None:
                    journal.note(place)
                progress.tell(place.rows, place.failed, source.done())
            sink.finish()
        except OSError as error:
            raise Stopped(
                f"The output cannot be written: {error.strerror or error}", resumable=journal is not None
            ) from None
        except SrvError as error:
            if not is_of_server(error):
                raise
            raise Stopped(str(error), resumable=journal is not None) from None
        finally:
            progress.end()
        if journal is not None:
            journal.finished()
    return Summary(place.rows, place.answered, place.failed, sender.retried, time.monotonic() - started)


class _FailedRows:
    """The file of failed rows, JSON lines with number and reason; made when the first one fails."""

    def __init__(self, path: Path | None, at: int) -> None:
        self._path = path
        self._at = at
        self._file = working_file(path, at) if path is not None and (at or path.exists()) else None

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
