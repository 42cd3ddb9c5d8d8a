"""`srv doctor`: what is wrong with the installation, and what to do."""

from __future__ import annotations

import json
import platform
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import click

import srv
from srv.cli.diagnostics import (
    environment_findings,
    installation_findings,
    native_findings,
    plugin_findings,
    settings_findings,
)
from srv.cli.diagnostics.finding import Finding, Weight, problem
from srv.cli.output import echo
from srv.cli.plugins import Allowed, allowed, timeout_option
from srv.discovery.plugins import failure
from srv.errors import SrvError, closed
from srv.probe.host import ProbeFailed
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

    Imports every plugin, in a child process that may hang or crash. With FOLDER its settings are
    examined too, and the environments that its models have for processes of their own. The exit code is 1 if something does not work; advice alone leaves it at 0.
    """
    found = allowed(ctx, folder or ".")
    findings = _findings(found, Path(folder) if folder is not None else None, timeout)
    if as_json:
        echo(json.dumps({"environment": _environment(), "findings": [asdict(each) for each in findings]}, indent=2))
    else:
        _print(_environment(), findings)
    problems = sum(each.weight is Weight.PROBLEM for each in findings)
    if problems:
        raise Unwell(problems)
    return 0


def _findings(found: Allowed, folder: Path | None, seconds: float) -> list[Finding]:
    """Return problems first, then advice, each in the order in which it was found."""
    findings = [
        *_guarded("installation", lambda: installation_findings.examine(found.plugins)),
        *_guarded("settings", lambda: settings_findings.examine(folder, found.plugins)),
        *_guarded("models", lambda: native_findings.examine(folder, found.plugins)),
    ]
    if folder is not None:
        findings += _guarded("environments", lambda: environment_findings.examine(folder, found.plugins))
    try:
        tried = found.tried(seconds).rows
    except ProbeFailed as error:
        findings.append(problem("plugins", str(error), "Mend what comes above first."))
        tried = list(found.plugins.rows)
    findings += _guarded("plugins", lambda: plugin_findings.examine(found.plugins, tried))
    return sorted(findings, key=lambda finding: finding.weight is not Weight.PROBLEM)


def _guarded(what: str, examine: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Yield what an examination finds; an error in it becomes a finding, so that the other examinations go on."""
    try:
        yield from examine()
    except Exception as error:  # noqa: BLE001 - an installation can be broken in any way
        yield problem(
            "srv doctor",
            f"The {what} could not be examined: {closed(failure(error))}",
            "Mend what else is told here, and tell srv's authors of the traceback, which --json shows.",
            "".join(traceback.format_exception(error)),
        )


def _environment() -> dict[str, str]:
    return {
        "srv": f"{__version__} from {Path(srv.__file__).parent}",
        "python": f"{platform.python_version()} from {sys.executable}",
        "platform": platform.platform(),
    }


def _print(environment: Mapping[str, str], findings: Sequence[Finding]) -> None:
    for name, value in environment.items():
        echo(f"{name}: {value}")
    for finding in findings:
        echo(f"\n{finding.weight.value}: {finding.what}\n  {finding.remedy}")
    if not findings:
        echo("\nNothing is wrong.")
