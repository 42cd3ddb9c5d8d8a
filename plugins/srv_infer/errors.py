"""What keeps `srv infer` from beginning or going on, as sentences."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from srv.errors import SrvError, listed, quoted


class UnknownFormat(SrvError):
    """The format of a file is not known."""

    def __init__(self, name: str, flag: str, formats: Iterable[str]) -> None:
        super().__init__(f"The format of {quoted(name)} is not known; say it with {flag}, one of {listed(formats)}.")


class Unresumable(SrvError):
    """What ends a run for good, because it would come again at the same row."""


class UnreadableInput(Unresumable):
    """The input cannot be read as its format."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{quoted(name)} cannot be read: {why}.")


class WhichDelimiter(SrvError):
    """The head of a CSV file has one column, whose name holds what other files have in a comma's place."""

    def __init__(self, name: str, found: str) -> None:
        said = "tab" if found == "\t" else f"'{found}'"
        super().__init__(
            f"The head of {quoted(name)} has no comma. Say what stands between its cells: --delimiter {said}, or --delimiter ',' "
            "where it has one column."
        )


class ColumnsMissing(SrvError):
    """The input lacks columns that the model needs."""

    def __init__(self, missing: Iterable[str], given: Iterable[str]) -> None:
        super().__init__(
            f"The model takes {listed(map(quoted, missing))}, and the file has {listed(map(quoted, given)) or 'no columns'}. "
            "Name columns with --map COLUMN=INPUT."
        )


class ColumnTwice(SrvError):
    """Several columns are the same input."""

    def __init__(self, name: str, times: int) -> None:
        super().__init__(f"{times} columns of the file are the input {quoted(name)}, which is one.")


class UnknownMapping(SrvError):
    """A --map names a column or an input that is not there."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f"--map: {quoted(name)} is no {kind}; there are {listed(map(quoted, known)) or 'none'}.")


class UnclearInputs(SrvError):
    """The model does not say which inputs it takes, or a file of this kind cannot give them."""

    def __init__(self, why: str) -> None:
        super().__init__(f"{why} Send JSON lines instead, an object with the model's inputs in each.")


class OutputThere(SrvError):
    """The output is there already."""

    def __init__(self, path: Path, *, unfinished: bool) -> None:
        name = quoted(str(path))
        super().__init__(
            f"{name} has answers of a run that was stopped; go on with --resume, or write it anew with --force."
            if unfinished
            else f"{name} is there already; write it anew with --force."
        )


class SameFile(SrvError):
    """Two of the input, the output and the file of failed rows are one file."""

    def __init__(self, path: str, *uses: str) -> None:
        super().__init__(f"{quoted(path)} cannot be {' and '.join(uses)} at once.")


class UnwritableOutput(SrvError):
    """A file of the output cannot be opened for writing."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{quoted(str(path))} cannot be written: {why}.")


class BusyOutput(SrvError):
    """Another run writes this output now."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{quoted(str(path))} is being written by another run; wait for its end, or choose another output."
        )


class NothingToResume(SrvError):
    """There is no journal of a run that was stopped."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"There is nothing to go on with: {quoted(str(path))} is not there, or empty.")


class OutputLost(SrvError):
    """A file is shorter than the journal tells, so that answers of the run are lost."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{quoted(str(path))} lacks answers that its journal tells of. Begin anew with --force.")


class AnotherRun(SrvError):
    """The journal is of a run over something else."""

    def __init__(self, path: Path, differs: Iterable[str]) -> None:
        super().__init__(f"{quoted(str(path))} is of another run: {listed(differs)} differ. Begin anew with --force.")


class PipesCannotResume(SrvError):
    """A run over pipes was asked to go on."""

    def __init__(self) -> None:
        super().__init__("A run can go on with --resume only from a file to a file.")


class Refused(Unresumable):
    """All rows of the first batch were refused, so something is wrong with all of them."""

    def __init__(self, rows: int, why: str) -> None:
        super().__init__(f"All {rows} rows of the first batch failed, so nothing more was sent: {why}")


class UnfitAnswer(Unresumable):
    """The model's outputs do not have a row for each row of the batch."""

    def __init__(self, output: str, rows: int, given: int) -> None:
        super().__init__(
            f"The output {quoted(output)} has {given} rows for the {rows} that were sent; send one at a time, with --batch-size 1."
        )


class NoText(Unresumable):
    """An output of bytes is no text, and its content type does not say what it is."""

    def __init__(self, output: str) -> None:
        super().__init__(f"The output {quoted(output)} holds bytes that are no text; choose others with --outputs.")


class NotOneArray(Unresumable):
    """The model's answer cannot be the array of a .npy file."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"A .npy file holds the numbers of one output, and {why}. Choose an output with --outputs, or write JSON lines."
        )


class NoPlaceForFailed(Unresumable):
    """A row failed, and the output's format has no value that says so."""

    def __init__(self, row: int, why: str) -> None:
        super().__init__(
            f"Row {row} failed, and a .npy file of these values has nothing to put in its place; write JSON lines. It failed "
            f"because: {why}"
        )


class Stopped(SrvError):
    """The run was stopped in its middle; what is written counts."""

    def __init__(self, why: str, *, resumable: bool) -> None:
        super().__init__(
            f"{why.rstrip('.')}." + (" What is answered is written; go on with --resume." if resumable else "")
        )


class Interrupted(Stopped):
    """The user has stopped the run."""

    def __init__(self, *, resumable: bool) -> None:
        super().__init__("The run was stopped", resumable=resumable)


class ExtraMissing(SrvError):
    """A format needs a package that is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "Parquet needs pyarrow, which is not installed. Install it: pip install srv-inference[parquet]."
        )
