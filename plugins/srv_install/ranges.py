"""Version ranges: whether what would be installed goes with the srv that will be there, and the other way round."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.requirements import InvalidRequirement, Requirement

from srv.discovery import PluginState, discover, normalised
from srv.discovery.metadata import distribution_called
from srv.discovery.plugin import OURS
from srv.version import __version__
from srv_install.changes import Change
from srv_install.errors import OthersRefused, WrongRange


def running_version() -> str:
    """Return the version of srv that is installed."""
    there = distribution_called(OURS)
    return __version__ if there is None else str(there.version)


@contextmanager
def srv_kept(*, asked: bool) -> Iterator[list[str]]:
    """Give the options with which an installer leaves srv as it is; none where the person has asked for another srv."""
    if asked or distribution_called(OURS) is None:
        yield []
        return
    with TemporaryDirectory() as folder:
        constraint = Path(folder, "constraint.txt")
        constraint.write_text(f"{OURS}=={running_version()}\n")
        yield ["--constraint", str(constraint)]


def check_ranges(changes: Sequence[Change]) -> None:
    """Check requirements on srv in both directions. Raises WrongRange or OthersRefused."""
    srv = next((change for change in changes if normalised(change.name) == OURS), None)
    running = running_version() if srv is None else srv.version
    wants = [
        (change.name, change.version, line)
        for change in changes
        for line in change.requires
        if _excludes(line, running)
    ]
    if wants:
        raise WrongRange(wants, running)
    if srv is not None:
        others = _refused_by(running) - {normalised(change.name) for change in changes}
        if others:
            raise OthersRefused(running, sorted(others))


def _excludes(line: str, running: str) -> bool:
    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        return False
    if normalised(requirement.name) != OURS:
        return False
    applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    return applies and not requirement.specifier.contains(running, prereleases=True)


def _refused_by(version: str) -> set[str]:
    """Return the distributions that are used now and that another srv would refuse."""
    used = {row.qualified for row in discover().rows if row.usable}
    return {
        normalised(row.distribution)
        for row in discover(running=version).rows
        if row.state is PluginState.REFUSED and row.qualified in used
    }
