"""`srv infer`: sends the rows of a file to a model of a running server and writes an answer for each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from srv.cli.http_client import server_at, url_option
from srv.cli.output import echo
from srv.errors import listed, quoted

EXAMPLES = """\b
Examples:
  srv infer iris -i rows.csv -o answers.csv
  srv infer iris -i rows.csv -o answers.csv --resume      go on where a run was stopped
  srv infer houses -i rows.parquet -o prices.parquet --parallel 8
  head -3 rows.jsonl | srv infer iris -i - --from jsonl -o - --to jsonl
"""


def _pair(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    for name, equals, value in pairs:
        if not (name and equals and value):
            raise click.BadParameter(f"{quoted(name)} is not of the form NAME=VALUE.", ctx, param)
    return {name: value for name, _, value in pairs}


@click.command(epilog=EXAMPLES)
@click.argument("model")
@click.option("--input", "-i", "source", metavar="FILE", required=True, help="The rows; - for standard input.")
@click.option("--output", "-o", metavar="FILE", required=True, help="The answers; - for standard output.")
@click.option(
    "--from",
    "source_format",
    type=click.Choice(["csv", "jsonl", "npy", "parquet"]),
    help="The input's format, where its ending does not say it.",
)
@click.option(
    "--to",
    "output_format",
    type=click.Choice(["csv", "jsonl", "npy", "parquet"]),
    help="The output's format, likewise.",
)
@click.option("--version", "version", metavar="VERSION", help="The version of the model.")
@click.option(
    "--outputs", metavar="NAME,NAME", help="Which outputs of the model to write; by default what it gives by itself."
)
@click.option(
    "--parameter",
    "parameters",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_pair,
    help="A parameter of each request; JSON, or text.",
)
@click.option(
    "--map",
    "renamed",
    metavar="COLUMN=INPUT",
    multiple=True,
    callback=_pair,
    help="The input that a column of another name is.",
)
@click.option(
    "--batch-size",
    metavar="ROWS",
    type=click.IntRange(1),
    default=256,
    show_default=True,
    help="How many rows go in one request.",
)
@click.option(
    "--parallel",
    metavar="REQUESTS",
    type=click.IntRange(1, 256),
    default=4,
    show_default=True,
    help="How many requests run at once.",
)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(0, min_open=True),
    default=60.0,
    show_default=True,
    help="How long one request may take.",
)
@click.option(
    "--patience",
    metavar="SECONDS",
    type=click.FloatRange(0),
    default=300.0,
    show_default=True,
    help="How long to ask again while the server is away or full.",
)
@click.option(
    "--failed", metavar="FILE", help="Where failed rows go, with their reasons; OUTPUT.failed.jsonl by default."
)
@click.option("--resume", is_flag=True, help="Go on with a run that was stopped.")
@click.option("--force", is_flag=True, help="Write the output anew where it is there already.")
@click.option(
    "--key", metavar="KEY", envvar="SRV_KEY", help="The key that the server asks for; also the variable SRV_KEY."
)
@url_option
@click.option("--quiet", "-q", is_flag=True, help="Show no progress.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary for programs.")
def infer(model: str, source: str, output: str, url: str | None, **options: Any) -> int:
    """Send the rows of a file to a model of a running server, and write an answer for each row.

    Columns of CSV and Parquet are the model's inputs by name, or all together the rows of its only input. A line of JSON lines is an
    object with a value for each input. A .npy file is the model's only input. Row i of the output answers row
    i of the input; rows that fail are empty there, and stand with their reasons in a file of their own.

    Requests that the server has no room for, or that were lost, are sent again. A run that was stopped in any way goes on with
    --resume: each row is answered exactly once in the output. Exit code 1 says that rows failed, or why the run was stopped.
    """
    from srv.client import Client  # here, because `srv --help` needs none of it
    from srv_infer.run import Files, run
    from srv_infer.sending import Sender
    from srv_infer.sources import format_of, opened

    failed = options["failed"] or (None if output == "-" else f"{output}.failed.jsonl")
    files = Files(
        source,
        format_of(source, options["source_format"]),
        output,
        format_of(output, options["output_format"]),
        None if failed is None else Path(failed),
        resume=options["resume"],
        force=options["force"],
    )
    server = server_at(url)
    shown = not options["quiet"] and not options["as_json"]
    client_options = {"key": options["key"], "retries": 0, "connections": options["parallel"]}
    with Client(server.url, **client_options) as client:
        metadata = client.metadata(model, options["version"])
        rows = opened(source, files.source_format, metadata, options["renamed"])
        try:
            if rows.ignored and shown:
                echo(
                    f"The model does not take {listed(map(quoted, rows.ignored))}, so these columns are left out.",
                    err=True,
                )
            sender = Sender(
                client,
                model,
                options["version"],
                options["outputs"].split(",") if options["outputs"] else None,
                {name: _value(text) for name, text in options["parameters"].items()},
                options["parallel"],
                options["timeout"],
                options["patience"],
            )
            summary = run(sender, rows, files, batch_size=options["batch_size"], shown=shown)
        finally:
            rows.close()
    if options["as_json"]:
        echo(json.dumps(summary.as_document()), err=output == "-")
    elif not options["quiet"]:
        said = summary.as_document()
        echo(
            f"{summary.answered:,} of {summary.rows:,} rows are answered, in {summary.seconds:.1f} s "
            f"({said['rows_per_second']:,.0f} rows/s).",
            err=True,
        )
    if summary.failed:
        place = f" {failed} says why." if failed else ""
        echo(f"{summary.failed:,} {'row' if summary.failed == 1 else 'rows'} failed.{place}", err=True)
    return 1 if summary.failed else 0


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
