"""What commands print: text of servers, models and packages cannot move the cursor, nor hide what stands above it."""

from __future__ import annotations

import sys
from types import TracebackType

import click

from srv.printable import escaped_lines


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print a text of one line or several, on stdout, or with `err` on stderr."""
    click.echo(escaped_lines(text), err=err, nl=nl)


def show_uncaught(kind: type[BaseException], error: BaseException, place: TracebackType | None) -> None:
    """Print the traceback of an error that nobody has caught; to be used as `sys.excepthook`."""
    import traceback  # here, because `srv --help` needs none

    sys.stderr.write(escaped_lines("".join(traceback.format_exception(kind, error, place))))
