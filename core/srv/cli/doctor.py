"""`srv doctor`: what is wrong with the installation, and what to do."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import click

import srv
from srv.cli.examine import installation, plugins, settings
from srv.cli.examine.finding import Finding, Weight, problem
from srv.cli.plugins import Allowed, allowed, timeout_option
from srv.errors import SrvError
from srv.trial.parent import TrialFailed
from srv.version import __version__

EXAMPLES = """\b
Examples:
  srv doctor              the installation, and variables SRV_… of the environment
  srv doctor models       the settings of the folder models too
  srv doctor --json       the same for programs
"""


class Unwell(SrvError):
    """The doctor found something that does not work."""

    def __init__(self, problems: int) -> None:
        super().__init__("1 problem was found." if problems == 1 else f"{problems} problems were found.")


@click.command(epilog=EXAMPLES)
@click.argument("folder", required=False, type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print it for programs.")
@timeout_option
@click.pass_context
def doctor(ctx: click.Context, folder: str | None, *, as_json: bool, timeout: float) -> int:
    """Say what is wrong and what to do: broken plugins, conflicts, versions, files, settings.

    Imports every plugin, in a child process that may hang or crash. With FOLDER its settings are examined too. The
    exit code is 1 if something does not work; advice alone leaves it at 0.
    """
    found = allowed(ctx, folder or ".")
    findings = _findings(found, Path(folder) if folder is not None else None, timeout)
    if as_json:
        click.echo(
            json.dumps({"environment": _environment(), "findings": [asdict(each) for each in findings]}, indent=2)
        )
    else:
        _print(_environment(), findings)
    problems = sum(each.weight is Weight.PROBLEM for each in findings)
    if problems:
        raise Unwell(problems)
    return 0


def _findings(found: Allowed, folder: Path | None, seconds: float) -> list[Finding]:
    """Problems first, then advice, each in the order in which it was found."""
    findings = [*installation.examine(found.plugins), *settings.examine(folder, found.plugins)]
    try:
        findings += plugins.examine(found.plugins, found.tried(seconds).rows)
    except TrialFailed as error:
        findings.append(problem("plugins", str(error), "Mend what comes above first."))
        findings += plugins.examine(found.plugins, found.plugins.rows)
    return sorted(findings, key=lambda finding: finding.weight is not Weight.PROBLEM)


def _environment() -> dict[str, str]:
    return {
        "srv": f"{__version__} from {Path(srv.__file__).parent}",
        "python": f"{platform.python_version()} from {sys.executable}",
        "platform": platform.platform(),
    }


def _print(environment: Mapping[str, str], findings: Sequence[Finding]) -> None:
    for name, value in environment.items():
        click.echo(f"{name}: {value}")
    for finding in findings:
        click.echo(f"\n{finding.weight.value}: {finding.what}\n  {finding.remedy}")
    if not findings:
        click.echo("\nNothing is wrong.")
