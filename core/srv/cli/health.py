"""`srv health`: a probe for containers that have nothing but Python; it imports the standard library and click."""

from __future__ import annotations

from pathlib import Path

import click

from srv.cli.http_client import server_at, url_option
from srv.cli.output import echo

EXAMPLES = """\b
Examples:
  srv health                  does the server of this folder want requests?
  srv health models --live    does the server of models answer at all?
"""


@click.command(epilog=EXAMPLES)
@click.argument("folder", default=".", type=click.Path(path_type=Path))
@click.option(
    "--ready", "what", flag_value="ready", default="ready", help="Ask whether it is ready; what is asked by default."
)
@click.option("--live", "what", flag_value="live", help="Ask whether it answers.")
@url_option
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the answer.",
)
def health(folder: Path, *, what: str, url: str | None, timeout: float) -> None:
    """Say in one line whether a running server is ready; the exit code is 0 if it is, and 1 if not.

    The server is the one of FOLDER, and of this folder where none is named: it is asked where settings.json and the
    variables SRV_... say that it listens, on a Unix socket and over TLS too.
    """
    server = server_at(url, folder)
    server.ask("GET", f"/v2/health/{what}", seconds=timeout)
    echo(what)
    server.tell()
