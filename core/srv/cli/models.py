"""`srv models`: the models of a running server; loads and unloads them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import click

from srv.cli.http_client import server_at, url_option
from srv.cli.output import echo

EXAMPLES = """\b
Examples:
  srv models               every model, loaded or not, and why
  srv models load iris     load it, or load it again from its files as they are
  srv models unload iris   stop serving it
"""
_HEADS = ("NAME", "VERSION", "STATE", "REASON")
_SECONDS = 30.0


@click.group(epilog=EXAMPLES, invoke_without_command=True)
@url_option
@click.option("--json", "as_json", is_flag=True, help="Print it for programs, as the server answers.")
@click.pass_context
def models(ctx: click.Context, *, url: str | None, as_json: bool) -> None:
    """Show every model of a running server: name, version, state, and why it is not loaded."""
    if ctx.invoked_subcommand is not None:
        return
    server = server_at(url)
    rows = server.ask("POST", "/v2/repository/index", {}, seconds=_SECONDS)
    if as_json:
        echo(json.dumps(rows, indent=2))
    else:
        _print(rows)
    server.tell()


@models.command(short_help="Load a model, in every worker.", epilog="\b\nExample:\n  srv models load iris")
@click.argument("name")
@url_option
@click.pass_context
def load(ctx: click.Context, name: str, *, url: str | None) -> None:
    """Load a model, or load it again from its files as they are now, in every worker.

    Waits until that is done, for as long as the server's load_timeout lets it. A load that fails leaves what served
    before serving.
    """
    _change(ctx, name, "load", url)


@models.command(short_help="Unload a model, in every worker.", epilog="\b\nExample:\n  srv models unload iris")
@click.argument("name")
@url_option
@click.pass_context
def unload(ctx: click.Context, name: str, *, url: str | None) -> None:
    """Stop serving a model, in every worker. It stays unloaded until it is loaded or the server is started anew."""
    _change(ctx, name, "unload", url)


def _change(ctx: click.Context, name: str, do: str, url: str | None) -> None:
    given_before = ctx.parent.params["url"] if ctx.parent is not None else None
    server = server_at(url or given_before)
    server.ask("POST", f"/v2/repository/models/{quote(name, safe='')}/{do}", {}, seconds=None)
    echo(f"Model '{name}' is {do}ed.")
    server.tell()


def _print(rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        echo("The server has no models.")
        return
    cells = [[str(row.get(head.lower(), "")) for head in _HEADS] for row in rows]
    widths = [max(len(line[column]) for line in [_HEADS, *cells]) for column in range(len(_HEADS))]
    for line in [_HEADS, *cells]:
        echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
