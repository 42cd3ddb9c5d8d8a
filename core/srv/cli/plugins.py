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
from srv.discovery.origins import pinned
from srv.discovery.plugin_states import covers
from srv.errors import SettingsError, SrvError, listed, nearest, quoted
from srv.probe.host import SECONDS, Outcome, run
from srv.probe.messages import Job, to_wire

EXAMPLES = """\b
Examples:
  srv plugins                           what metadata says; nothing is imported
  srv plugins --load                    import everything, in a child process, and time it
  srv plugins --order srv_before_infer  who is called, in which order
  srv plugins --requirements            what is installed, as lines of a requirements.txt
  srv plugins show sklearn              all that is known of one: settings, hooks, home page
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


class NoSuchPlugin(SrvError):
    """`srv plugins show` was asked about a name that is neither a plugin's nor a package's."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(
            f"No plugin and no package that brings one is called {quoted(name)}.{nearest(name, known)} "
            "`srv plugins` lists them."
        )


class Faulty(SrvError):
    """`srv plugins check` found something wrong."""

    def __init__(self, names: Sequence[str], faults: int) -> None:
        has = "has" if len(names) == 1 else "have"
        super().__init__(f"{listed(names)} {has} {faults} fault{'s' if faults > 1 else ''}.")


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
@click.option(
    "--requirements", is_flag=True, help="Print the packages that bring plugins, srv among them, as requirements."
)
@folder_option
@timeout_option
@click.pass_context
def plugins(
    ctx: click.Context, *, as_json: bool, load: bool, order: str | None, requirements: bool, folder: str, timeout: float
) -> int | None:
    """Show every plugin: kind, name, distribution, version, state and why.

    Without --load and --order nothing is imported: this is what the installed packages say of themselves.
    """
    if ctx.invoked_subcommand is not None:
        _refuse_options_before(ctx, ctx.invoked_subcommand)
        return None
    if sum((load, order is not None, requirements)) > 1:
        raise click.UsageError("--load, --order and --requirements print different things: give one of them.")
    found = allowed(ctx, folder)
    if requirements:
        _print_requirements(found.plugins, as_json=as_json)
        return 0
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
    short_help="Say what is wrong with a package, if anything.",
    epilog="\b\nExample:\n  srv plugins check srv-sklearn",
)
@click.argument("dists", metavar="DIST...", nargs=-1, required=True)
@json_option
@folder_option
@timeout_option
@click.pass_context
def check(ctx: click.Context, dists: Sequence[str], *, as_json: bool, folder: str, timeout: float) -> int:
    """Check packages: are they found, are their version ranges right, does each plugin import and register?

    Imports all plugins in a child process, because some faults show only beside the others. The exit code tells.
    """
    found = allowed(ctx, folder)
    for dist in dists:
        _check_brings(found.plugins, dist)
    asked = set(map(normalised, dists))
    rows = [row for row in found.tried(timeout).rows if normalised(row.distribution) in asked]
    overlaps = _overlaps(dists)
    faults = [row for row in rows if row.faulty]
    if as_json:
        echo(json.dumps({"plugins": [to_wire(row) for row in rows], "overlapping": overlaps}, indent=2))
    else:
        _print_rows(rows, timed=True, tracebacks=True)
        for file, owners in overlaps.items():
            echo(f"{file} belongs to {' and '.join(owners)}.")
    if faults or overlaps:
        raise Faulty(dists, len(faults) + len(overlaps))
    return 0


@plugins.command(
    short_help="Show all that is known of one plugin, or of a package's.",
    epilog="\b\nExamples:\n  srv plugins show sklearn\n  srv plugins show srv-sklearn --json",
)
@click.argument("name")
@json_option
@folder_option
@timeout_option
@click.pass_context
def show(ctx: click.Context, name: str, *, as_json: bool, folder: str, timeout: float) -> int:
    """Show what is known of a plugin: home page, state, hooks, routes, what it brings, settings with their defaults.

    NAME is a plugin's, or a package's for all that it brings; `package:name` where two have one name. Imports all
    plugins, in a child process.
    """
    from srv.cli import plugin_details as details  # imports marshmallow, which `srv plugins` alone need not

    found = allowed(ctx, folder)
    outcome = found.tried(timeout, task=details.TASK, given={"name": name})
    # A route stands among what its hook module brings.
    rows = [row for row in outcome.rows if covers(name, row) and row.kind is not PluginKind.ROUTE]
    if not rows:
        raise NoSuchPlugin(name, [each for row in outcome.rows for each in (row.name, row.distribution)])
    if as_json:
        echo(json.dumps(details.as_data(rows, outcome), indent=2))
    else:
        for line in details.lines(rows, outcome):
            echo(line)
    return 0


@dataclass(frozen=True)
class Allowed:
    """The installed plugins under the settings in force, and the plugins' sections of these settings."""

    plugins: Plugins
    sections: Mapping[str, Mapping[str, Any]]

    def tried(self, seconds: float, *, task: str = "load", given: Mapping[str, Any] | None = None) -> Outcome:
        """Import everything in child processes that may hang or crash, and return the outcome."""
        sections = {name: dict(section) for name, section in self.sections.items()}
        return run(Job(task, self.plugins.choice, sections, given=given or {}), seconds=seconds)


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


def _print_requirements(found: Plugins, *, as_json: bool) -> None:
    """Print each distribution that brings a plugin, as pip would install it again; one that cannot be read as a comment."""
    lines = []
    for name in dict.fromkeys(normalised(row.distribution) for row in found.rows):
        try:
            lines.append(pinned(distribution_called(name)))
        except Exception:  # noqa: BLE001 - metadata can be broken in any way
            lines.append(f"# {name}: its metadata cannot be read")
    if as_json:
        echo(json.dumps(lines, indent=2))
        return
    for line in lines:
        echo(line)


def _overlaps(dists: Sequence[str]) -> Mapping[str, list[str]]:
    from srv.discovery.files import overlapping

    return overlapping(dists)


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
