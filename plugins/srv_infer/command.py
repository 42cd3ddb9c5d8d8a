"""`srv infer`: sends the rows of a file to a model of a running server and writes an answer for each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from srv.cli.http_client import server_at
from srv.cli.output import echo
from srv.errors import listed, quoted

if TYPE_CHECKING:
    from srv.client import Client
    from srv_infer.run import Summary
    from srv_infer.sending import Sender
    from srv_infer.sources import Source

_FILE = click.Path(exists=True, dir_okay=False)

EXAMPLES = """\b
Examples:
  srv infer iris -i rows.csv -o answers.csv
  srv infer iris -i rows.csv -o answers.csv --resume      go on where a run was stopped
  srv infer houses -i rows.parquet -o prices.parquet --parallel 8
  srv infer iris -i rows.csv -o answers.csv --url grpc://localhost:8081
  head -3 rows.jsonl | srv infer iris -i - --from jsonl -o - --to jsonl
"""


def _pair(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    for name, equals, value in pairs:
        if not (name and equals and value):
            raise click.BadParameter(f"{quoted(name)} is not of the form NAME=VALUE.", ctx, param)
    return {name: value for name, _, value in pairs}


def _delimiter(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is None or value == "tab":
        return value and "\t"
    if len(value) != 1 or value in '"\r\n':
        raise click.BadParameter(f"{quoted(value)} is not one character, such as ';'.", ctx, param)
    return value


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
@click.option(
    "--delimiter",
    metavar="CHARACTER",
    callback=_delimiter,
    help="What stands between the cells of CSV, of the input and of the output; a comma by default, `tab` for a tab.",
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
    "--failed",
    metavar="FILE",
    help="Where failed rows go, with their reasons; OUTPUT.failed.jsonl by default.",
)
@click.option("--resume", is_flag=True, help="Go on with a run that was stopped.")
@click.option("--force", is_flag=True, help="Write the output anew where it is there already.")
@click.option(
    "--key", metavar="KEY", envvar="SRV_KEY", help="The key that the server asks for; also the variable SRV_KEY."
)
@click.option(
    "--header",
    "headers",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_pair,
    help="A header of each request, such as Host; metadata over gRPC.",
)
@click.option(
    "--cacert", metavar="FILE", type=_FILE, help="The authorities that may have signed the server's certificate."
)
@click.option("--cert", metavar="FILE", type=_FILE, help="The certificate that the server asks clients for.")
@click.option("--cert-key", metavar="FILE", type=_FILE, help="Its key, where that is a file of its own.")
@click.option(
    "--url",
    metavar="URL",
    help="Where the server is, http://host:port, unix:/path or grpc://host:port; by default where settings.json and "
    "SRV_HOST say.",
)
@click.option("--quiet", "-q", is_flag=True, help="Show no progress.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary for programs.")
def infer(model: str, source: str, output: str, url: str | None, **options: Any) -> int:
    """Send the rows of a file to a model of a running server, and write an answer for each row.

    Columns of CSV and Parquet are the model's inputs by name, or all together the rows of its only input. A line of JSON lines is an
    object with a value for each input. A .npy file is the model's only input. Row i of the output answers row
    i of the input; rows that fail are empty there, and stand with their reasons in a file of their own.

    Requests that the server has no room for, or that were lost, are sent again. A run that was stopped in any way goes on with
    --resume: each row is answered exactly once in the output. Exit code 1 says that rows failed, or why the run was stopped;
    130 that you have stopped it.
    """
    from srv_infer.errors import Interrupted  # here, because `srv --help` needs none of it
    from srv_infer.run import Files, Run
    from srv_infer.sources import format_of, opened

    failed = options["failed"] or (None if output == "-" else f"{output}.failed.jsonl")
    files = Files(
        source,
        format_of(source, options["source_format"], flag="--from"),
        output,
        format_of(output, options["output_format"], flag="--to"),
        None if failed is None else Path(failed),
        checked=options["failed"] is not None,
        delimiter=options["delimiter"] or ",",
        resume=options["resume"],
        force=options["force"],
    )
    files.check()
    shown = not options["quiet"] and not options["as_json"]
    with _client(url, options) as client:
        sender = _sender(client, model, options)
        metadata = client.metadata(model, options["version"])
        rows = opened(source, files.source_format, metadata, options["renamed"], delimiter=options["delimiter"])
        try:
            if shown:
                _tell_ignored(rows)
            told = len(rows.ignored)
            summary = Run(sender, rows, files, options["batch_size"], shown).whole(_settings(sender, options))
            if shown and len(rows.ignored) > told:
                _tell_ignored(rows)
        except Interrupted as error:
            echo(str(error), err=True)
            return 130
        finally:
            rows.close()
    _tell(summary, failed, options, to_stdout=output == "-")
    return 1 if summary.failed else 0


def _client(url: str | None, options: Mapping[str, Any]) -> Client:
    """Return the client of the server that the flags name. Raises NoUrl, NoAddress, and what TLS raises."""
    from srv.client import Client  # here, because `srv --help` needs none of it

    certificate, verify = options["cert"], options["cacert"] or True
    settings = {
        "key": options["key"],
        "headers": options["headers"],
        "retries": 0,
        "connections": options["parallel"],
        "certificate": None if certificate is None else (certificate, options["cert_key"] or certificate),
    }
    if url is not None and url.startswith(("grpc://", "grpcs://")):
        return Client(url, verify=verify, **settings)
    server = server_at(url)
    own = server.tls_context if options["cacert"] is None and certificate is None else None
    if own is not None:
        import urllib3  # here, because it is imported with the client

        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # this machine's own server is meant
    return Client(server.url, verify=own or verify, **settings)


def _sender(client: Client, model: str, options: Mapping[str, Any]) -> Sender:
    from srv_infer.sending import Sender  # here, because `srv --help` needs none of it

    outputs = [name.strip() for name in (options["outputs"] or "").split(",") if name.strip()]
    return Sender(
        client,
        model,
        options["version"],
        outputs or None,
        {name: _value(text) for name, text in options["parameters"].items()},
        options["parallel"],
        options["timeout"],
        options["patience"],
    )


def _settings(sender: Sender, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what makes another run of one over the same files."""
    return {
        "model": sender.model,
        "version": sender.version,
        "outputs": sender.outputs,
        "parameters": sender.parameters,
        "map": options["renamed"],
    }


def _tell_ignored(rows: Source) -> None:
    if rows.ignored:
        echo(f"The model does not take {listed(map(quoted, rows.ignored))}, which is left out.", err=True)


def _tell(summary: Summary, failed: str | None, options: Mapping[str, Any], *, to_stdout: bool) -> None:
    said = summary.as_document()
    if options["as_json"]:
        echo(json.dumps(said), err=to_stdout)
    elif not options["quiet"]:
        resumed = f", {summary.before:,} of them before," if summary.before else ","
        echo(
            f"{summary.answered:,} of {summary.rows:,} rows are answered{resumed} in {summary.seconds:.1f} s "
            f"({said['rows_per_second']:,.0f} rows/s).",
            err=True,
        )
    if summary.failed:
        place = f" {failed} says why." if failed else ""
        echo(f"{summary.failed:,} {'row' if summary.failed == 1 else 'rows'} failed.{place}", err=True)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
