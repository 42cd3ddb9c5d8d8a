"""`srv health`: a probe for containers that have nothing but Python; it imports the standard library and click."""

from __future__ import annotations

import click

from srv.cli.asking import server_at, url_option

EXAMPLES = """\b
Examples:
  srv health          does the server want requests?
  srv health --live   does it answer at all?
"""


@click.command(epilog=EXAMPLES)
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
def health(*, what: str, url: str | None, timeout: float) -> None:
    """Say in one line whether a running server is ready; the exit code is 0 if it is, and 1 if not."""
    server_at(url).ask("GET", f"/v2/health/{what}", seconds=timeout)
    click.echo(what)
