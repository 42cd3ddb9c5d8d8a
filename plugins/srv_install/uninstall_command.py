"""`srv uninstall`: removes plugins, broken ones too, and says what is gone and how to undo it."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

import click
import importlib_metadata
from packaging.requirements import Requirement

from srv.cli.output import echo
from srv.discovery import Plugins, discover, normalised
from srv.discovery.metadata import Distribution, distribution_called, installed
from srv.discovery.origins import pinned
from srv.discovery.plugin import OURS
from srv.probe.messages import to_wire
from srv_install.changes import words_of
from srv_install.environments import environment_here
from srv_install.errors import InstallerFailed, NoPlugin, NotThere, SrvItself, StillRequired, StillThere, undone_by
from srv_install.installers import Installer, installer_for, shown
from srv_install.running import run

EXAMPLES = """\b
Examples:
  srv uninstall srv-sklearn             remove it, and say how to have it back
  srv uninstall --dry-run srv-sklearn   say what would be gone, and change nothing
"""


@click.command(epilog=EXAMPLES)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--force", is_flag=True, help="Remove it although other packages require it.")
@click.option("--dry-run", is_flag=True, help="Say what would be gone, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print it for programs.")
def uninstall(names: Sequence[str], *, force: bool, dry_run: bool, as_json: bool) -> int:
    """Uninstall plugins from the environment that runs srv, and say how to undo it.

    NAME is a package's. Nothing of it is imported, so that a broken one goes too. What it required stays.
    """
    environment = environment_here()
    installer = installer_for(environment, names, removes=True)
    found = discover()
    meant = [_meant(name, found, installer) for name in dict.fromkeys(map(normalised, names))]
    names = [normalised(each.name) for each in meant]
    if not force:
        for each in meant:
            by = sorted(set(_requiring(normalised(each.name))).difference(names))
            if by:
                raise StillRequired(each.name, by)
    rows = [row for row in found.rows if normalised(row.distribution) in names]
    undo = [shown(installer.install_words([word for name in names for word in words_of(_pinned(name))]))]
    if not dry_run:
        _uninstall(installer, names)
    if as_json:
        told: dict[str, Any] = {
            "environment": {"kind": environment.kind, "folder": str(environment.prefix), "installer": installer.name},
            "dry_run": dry_run,
            "uninstalled": [{"name": each.name, "version": each.version} for each in meant],
            "plugins": [to_wire(row) for row in rows],
            "undo": undo,
        }
        echo(json.dumps(told, indent=2))
        return 0
    echo(f"{'Would uninstall' if dry_run else 'Uninstalled'} with {installer.name} from {environment}:")
    for each in meant:
        echo(f"  {each.name} {each.version}")
    echo("Not available any more:")
    for row in rows:
        echo(f"  {row.kind.noun} '{row.name}'")
    if not dry_run:
        echo(f"Start servers that run again: they know the plugins of their start.\n{undone_by(undo)}")
    return 0


def _meant(name: str, found: Plugins, installer: Installer) -> Distribution:
    """Return the installed distribution of that name. Raises SrvItself, NotThere or NoPlugin."""
    command = shown(installer.uninstall_words([name]))
    if name == OURS:
        raise SrvItself(command)
    for each in found.metadata.distributions:
        if normalised(each.name) == name:
            return each
    if distribution_called(name) is not None:
        raise NoPlugin(name, command)
    raise NotThere(name, sorted({row.distribution for row in found.rows if not row.ours}))


def _pinned(name: str) -> str:
    """Return the requirement line that installs a distribution again; its name alone where its metadata is broken."""
    try:
        return pinned(distribution_called(name))
    except Exception:  # noqa: BLE001 - metadata can be broken in any way
        return name


def _requiring(name: str) -> Iterator[str]:
    """Return the installed distributions that require one, without those that do only with an extra."""
    for each in installed():
        try:
            requirements = [Requirement(line) for line in each.requires or ()]
            own_name = normalised(each.metadata["Name"])
        except Exception:  # noqa: BLE001, S112 - metadata can be broken in any way, and then nobody knows
            continue
        for requirement in requirements:
            applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if applies and normalised(requirement.name) == name:
                yield own_name


def _uninstall(installer: Installer, names: Sequence[str]) -> None:
    ended = run(installer.uninstall_words(names), f"Uninstalling {', '.join(names)}")
    if ended.code:
        raise InstallerFailed(installer.name, f"uninstalling {', '.join(names)}", ended.last_lines())
    importlib.invalidate_caches()
    importlib_metadata.MetadataPathFinder.invalidate_caches()
    for name in names:
        left = distribution_called(name)
        if left is not None:
            raise StillThere(name, str(left.version), str(left.locate_file("")))
