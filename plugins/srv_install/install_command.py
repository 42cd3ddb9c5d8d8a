"""`srv install`: installs plugins if they go with this srv, checks them, and says how to undo it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from srv.cli.output import echo
from srv.discovery import normalised
from srv.discovery.plugin import OURS
from srv.errors import listed
from srv.probe.messages import to_wire
from srv_install.changes import Change, undo_words
from srv_install.environments import Environment, environment_here
from srv_install.errors import BringsNothing, CheckFailed, InstallerFailed, WrongRange, undone_by
from srv_install.installers import Installer, RangeConflict, installer_for, shown
from srv_install.masking import masked
from srv_install.outcome import Checked, bringing, checked, lines_of
from srv_install.ranges import check_ranges, running_version, srv_kept
from srv_install.running import run
from srv_install.wanted import Wanted, wanted

EXAMPLES = """\b
Examples:
  srv install srv-sklearn                       the newest release that goes with this srv
  srv install 'srv-sklearn>=0.1' ./srv-mine     a range of versions; a folder, with a slash
  srv install --upgrade srv-sklearn             a newer one, if there is one
  srv install --dry-run srv-sklearn             say what would change, and change nothing
  srv install srv-mine -- --index-url URL       what follows -- goes to the installer
"""

_PASSED = "srv_install.passed"


class InstallerCommand(click.Command):
    """A command whose words after `--` are the installer's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put aside what stands after `--`, and read the rest."""
        own, after = (args[: args.index("--")], args[args.index("--") + 1 :]) if "--" in args else (args, [])
        ctx.meta[_PASSED] = after
        return super().parse_args(ctx, own)


@dataclass(frozen=True)
class Order:
    """What to install, and how."""

    asked: Sequence[Wanted]
    upgrade: bool
    pre: bool
    user: bool
    passed: Sequence[str]

    @property
    def names(self) -> list[str]:
        """The distributions that are asked for by name."""
        return [each.name for each in self.asked if each.name]

    def words(self, installer: Installer) -> list[str]:
        """Return the installer's options, and what to install."""
        options = [
            *(installer.upgrade_options(self.names) if self.upgrade else ()),
            *(installer.pre_options if self.pre else ()),
            *(["--user"] if self.user else ()),
        ]
        return [*options, *self.passed, *(each.word for each in self.asked)]


@click.command(cls=InstallerCommand, epilog=EXAMPLES)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--upgrade", "-U", is_flag=True, help="Take the newest version that goes with this srv.")
@click.option("--pre", is_flag=True, help="Take releases that are not final, too.")
@click.option("--user", is_flag=True, help="Install for this user alone, outside of virtual environments.")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print it for programs.")
@click.pass_context
def install(
    ctx: click.Context,
    names: Sequence[str],
    *,
    upgrade: bool,
    pre: bool,
    user: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Install plugins into the environment that runs srv, check them, and say how to undo it.

    NAME is what pip takes: a package, with a version if need be, a path or a URL. pip installs it, or uv where there is no
    pip. srv itself stays as it is unless it is named: a package that was made for another srv is refused before anything
    changes. Exit code 1 says that nothing was changed, or that the check failed.
    """
    order = Order([wanted(name) for name in names], upgrade, pre, user, ctx.meta[_PASSED])
    environment = environment_here()
    installer = installer_for(environment, names, user=user, passed=order.passed)
    if not as_json:
        echo(
            f"{'Would install' if dry_run else 'Installing'} with {installer.name} into {environment}. {environment.note}".rstrip()
        )
    with srv_kept(asked=OURS in order.names) as kept:
        words = [*kept, *order.words(installer)]
        changes = _planned(installer, words, order.names)
        if changes and not dry_run:
            _install(installer, words, changes)
    undo = _undo(installer, changes, order)
    if dry_run:
        _tell(environment, installer, changes, None, undo, as_json=as_json)
        return 0
    brings = bringing(environment.python, undo)
    concerned = _concerned(changes, order.names, brings)
    if not concerned:
        raise BringsNothing([each.name for each in changes if each.requested] or order.names, undo)
    found = checked(environment.python, concerned, undo)
    _tell(environment, installer, changes, found, undo, as_json=as_json)
    if found.faults:
        raise CheckFailed(concerned, found.faults, undo)
    return 0


def _planned(installer: Installer, words: Sequence[str], names: Sequence[str]) -> list[Change]:
    try:
        changes = installer.plan(words, names)
    except RangeConflict as conflict:
        raise WrongRange(conflict.wants, running_version()) from None
    check_ranges(changes)
    return changes


def _install(installer: Installer, words: Sequence[str], changes: Sequence[Change]) -> None:
    doing = f"Installing {listed(map(str, changes))}"
    ended = run(installer.install_words(words), doing)
    if ended.code:
        raise InstallerFailed(installer.name, doing[0].lower() + doing[1:], ended.last_lines())
    if installer.warns:
        for line in ended.warnings:
            echo(masked(line), err=True)


def _undo(installer: Installer, changes: Sequence[Change], order: Order) -> list[str]:
    """Return the commands that bring back what was there."""
    new, old = undo_words(changes)
    return [
        *([shown(installer.install_words([*order.passed, *old]))] if old else []),
        *([shown(installer.uninstall_words(new))] if new else []),
    ]


def _concerned(changes: Sequence[Change], names: Sequence[str], brings: dict[str, str]) -> list[str]:
    """Return the distributions to check: those that were changed or named; with another srv, all."""
    changed = {normalised(change.name) for change in changes}
    if OURS in changed:
        return sorted(brings[name] for name in brings if name != OURS) or [OURS]
    return sorted(brings[name] for name in changed.union(names) if name in brings)


def _tell(
    environment: Environment,
    installer: Installer,
    changes: Sequence[Change],
    found: Checked | None,
    undo: Sequence[str],
    *,
    as_json: bool,
) -> None:
    if as_json:
        told: dict[str, Any] = {
            "environment": {"kind": environment.kind, "folder": str(environment.prefix), "installer": installer.name},
            "dry_run": found is None,
            "changes": [{"name": each.name, "version": each.version, "before": each.before} for each in changes],
            "plugins": [to_wire(row) for row in found.rows] if found else [],
            "overlapping": found.overlapping if found else {},
            "undo": list(undo),
        }
        echo(json.dumps(told, indent=2))
        return
    if not changes:
        echo("All of it is installed already.")
    for change in changes:
        echo(f"  {change}")
    if found is None:
        return
    echo("What it brings:")
    for row in found.rows:
        for line in lines_of(row):
            echo(line)
    for file, owners in found.overlapping.items():
        echo(f"  {file} belongs to {' and '.join(owners)}.")
    if not found.faults:
        echo("Start servers that run again: they know the plugins of their start.")
        if undo:
            echo(undone_by(undo))
