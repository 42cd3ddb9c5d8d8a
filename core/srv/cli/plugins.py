"""`srv plugins`: what is installed, by metadata, and with --load by importing it in a child process."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from srv.cli import CommandLine
from srv.cli.output import echo
from srv.discovery import Plugin, PluginKind, Plugins, normalised
from srv.discovery.metadata import distribution_called
from srv.errors import SettingsError, SrvError, listed, nearest, quoted
from srv.probe.host import SECONDS, Outcome, run
from srv.probe.messages import Job, to_wire

EXAMPLES = """\b
Examples:
  srv plugins                           what metadata says; nothing is imported
  srv plugins --load                    import everything, in a child process, and time it
  srv plugins --order srv_before_infer  who is called, in which order
  srv plugins check srv-sklearn         is there anything wrong with this package?

\b
States: found (imported on first use), loaded, disabled (by settings), refused (name
taken, version range, unreadable metadata), quarantined (import or registration failed).
"""


class UnknownDistribution(SrvError):
    """`srv plugins check` was asked about a package that brings nothing."""

    def __init__(self, name: str, known: Sequence[str], *, installed: bool) -> None:
        what = "is installed and brings nothing to srv" if installed else "is not installed"
        advice = nearest(name, known) or f" What brings something: {listed(known)}."
        super().__init__(f"{quoted(name)} {what}.{advice}")


class Faulty(SrvError):
    """`srv plugins check` found something wrong."""

    def __init__(self, name: str, faults: int) -> None:
        super().__init__(f"{name} has {faults} fault{'s' if faults > 1 else ''}.")


folder_option = click.option(
    "--folder",
    default=".",
    metavar="FOLDER",
    type=click.Path(exists=True, file_okay=False),
    help="Whose settings.json says what is disabled and preferred; this folder if none is named.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print it for programs.")
timeout_option = click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How long one import may take before it is given up.",
)


@click.group(epilog=EXAMPLES, invoke_without_command=True)
@json_option
@click.option("--load", is_flag=True, help="Import every plugin, in a child process, and say how that went.")
@click.option("--order", metavar="HOOK", help="Print who implements a hook, in the order of calls.")
@folder_option
@timeout_option
@click.pass_context
def plugins(
    ctx: click.Context, *, as_json: bool, load: bool, order: str | None, folder: str, timeout: float
) -> int | None:
    """Show every plugin: kind, name, distribution, version, state and why.

    Without --load and --order nothing is imported: this is what the installed packages say of themselves.
    """
    if ctx.invoked_subcommand is not None:
        _refuse_options_before(ctx, ctx.invoked_subcommand)
        return None
    found = allowed(ctx, folder)
    if order is not None:
        _print_order(_order(found, order, timeout), as_json=as_json)
        return 0
    rows = found.tried(timeout).rows if load else found.plugins.rows
    if as_json:
        echo(json.dumps([to_wire(row) for row in rows], indent=2))
    else:
        _print_rows(rows, timed=load)
        for sentence in found.plugins.unmatched():
            echo(sentence, err=True)
    return 0


def _refuse_options_before(ctx: click.Context, subcommand: str) -> None:
    given = [
        parameter.opts[0]
        for parameter in ctx.command.params
        if ctx.get_parameter_source(parameter.name or "") is click.core.ParameterSource.COMMANDLINE
    ]
    if given:
        raise click.UsageError(
            f"Write {listed(given)} after {subcommand!r}: what stands before it has no effect on it."
        )


@plugins.command(
    short_help="Say what is wrong with one package, if anything.",
    epilog="\b\nExample:\n  srv plugins check srv-sklearn",
)
@click.argument("dist")
@json_option
@folder_option
@timeout_option
@click.pass_context
def check(ctx: click.Context, dist: str, *, as_json: bool, folder: str, timeout: float) -> int:
    """Check one package: is it found, is its version range right, does each plugin import and register?

    Imports all plugins in a child process, because some faults show only beside the others. The exit code tells.
    """
    found = allowed(ctx, folder)
    _check_brings(found.plugins, dist)
    rows = [row for row in found.tried(timeout).rows if normalised(row.distribution) == normalised(dist)]
    overlaps = _overlaps(dist)
    faults = [row for row in rows if row.faulty]
    if as_json:
        echo(json.dumps({"plugins": [to_wire(row) for row in rows], "overlapping": overlaps}, indent=2))
    else:
        _print_rows(rows, timed=True, tracebacks=True)
        for file, owners in overlaps.items():
            echo(f"{file} belongs to {' and '.join(owners)}.")
    if faults or overlaps:
        raise Faulty(dist, len(faults) + len(overlaps))
    return 0


@dataclass(frozen=True)
class Allowed:
    """The installed plugins under the settings in force, and the plugins' sections of these settings."""

    plugins: Plugins
    sections: Mapping[str, Mapping[str, Any]]

    def tried(self, seconds: float) -> Outcome:
        """Import everything in child processes that may hang or crash, and return the outcome."""
        sections = {name: dict(section) for name, section in self.sections.items()}
        return run(Job("load", self.plugins.choice, sections), seconds=seconds)


def allowed(ctx: click.Context, folder: str) -> Allowed:
    """Return the plugins under --no-plugin, the environment, and the settings of a folder if it has any."""
    command_line = ctx.find_root().ensure_object(CommandLine)
    installed = command_line.plugins
    if not (Path(folder) / "settings.json").is_file() and not any(name.startswith("SRV_") for name in os.environ):
        return Allowed(installed, {})
    # Costs 70 ms, and most calls have no settings to read.
    from srv.settings import read_server_settings

    try:
        settings = read_server_settings(Path(folder), plugin_sections=installed.sections())
    except SettingsError as error:
        echo(f"{error} What follows leaves these settings out.", err=True)
        return Allowed(installed, {})
    chosen = settings.plugins
    judged = installed.under(disable=chosen.disable, only=chosen.only, prefer=chosen.prefer, optional=chosen.optional)
    return Allowed(judged, settings.sections)


def _order(found: Allowed, hook: str, seconds: float) -> list[Plugin]:
    from srv.hooks import ARGUMENTS, UnknownHook  # imports numpy, which `srv plugins` alone need not

    if hook not in ARGUMENTS:
        raise UnknownHook(hook, ARGUMENTS)
    return found.tried(seconds).order[hook]


def _print_order(rows: Sequence[Plugin], *, as_json: bool) -> None:
    if as_json:
        echo(json.dumps([to_wire(row) for row in rows], indent=2))
        return
    for place, row in enumerate(rows, start=1):
        echo(f"{place}. {row.name} of {row.distribution} {row.version}")
    if not rows:
        echo("No plugin implements it.")


def _check_brings(found: Plugins, dist: str) -> None:
    known = sorted({row.distribution for row in found.rows})
    if normalised(dist) in map(normalised, known):
        return
    raise UnknownDistribution(dist, known, installed=distribution_called(dist) is not None)


def _overlaps(dist: str) -> Mapping[str, list[str]]:
    from srv.discovery.files import overlapping

    return overlapping([dist])


def _print_rows(rows: Sequence[Plugin], *, timed: bool, tracebacks: bool = False) -> None:
    heads = ("KIND", "NAME", "DISTRIBUTION", "VERSION", "STATE")
    cells = [(row.kind.value, row.name, row.distribution, row.version, _state(row, timed=timed)) for row in rows]
    widths = [max(len(line[column]) for line in [heads, *cells]) for column in range(len(heads))]
    echo(_line(heads, widths))
    for row, line in zip(rows, cells, strict=True):
        echo(_line(line, widths))
        missing_extra = "" if row.awaits_extra else row.missing_extra
        for remark in filter(None, (row.reason, missing_extra, row.warning, *row.deprecations)):
            echo(f"  {remark}")
        if tracebacks and row.traceback:
            echo("".join(f"    {each}\n" for each in row.traceback.rstrip().splitlines()), nl=False)
    failures = sum(row.faulty for row in rows)
    if failures:
        echo(f"{failures} of {len(rows)} cannot be used; `srv doctor` says what to do.")


def _state(row: Plugin, *, timed: bool) -> str:
    if timed and row.import_seconds is not None and row.kind is not PluginKind.UNKNOWN:
        return f"{row.state.value}, {row.import_seconds * 1000:.0f} ms"
    return row.state.value


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
