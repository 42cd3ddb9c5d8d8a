"""Installers: pip where the environment has it, else uv."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from srv.discovery.plugin import OURS, normalised
from srv_install.changes import Change, Conflict, changes_of_pip, changes_of_uv, conflicts_of_pip, conflicts_of_uv
from srv_install.environments import Environment
from srv_install.errors import (
    ExternallyManaged,
    InstallerFailed,
    NoInstaller,
    NotWritable,
    NoUserOption,
    OfPipx,
    OfUvTool,
    Unreadable,
    UserInVirtual,
)
from srv_install.masking import masked
from srv_install.running import Ended, run

#: With one of these the person has decided about what srv would refuse.
_OVERRIDES = frozenset({"--break-system-packages", "--target", "-t", "--prefix", "--root"})


class RangeConflict(Exception):
    """The resolver found nothing that goes with the running srv; it told which distributions require which other one."""

    def __init__(self, wants: Sequence[Conflict]) -> None:
        super().__init__(str(wants))
        self.wants = wants


class Installer(Protocol):
    """A program that installs into one environment."""

    name: str
    #: Whether what it prints on stderr in spite of success is a warning.
    warns: bool
    #: The options for releases that are not final.
    pre_options: tuple[str, ...]

    def upgrade_options(self, names: Sequence[str]) -> list[str]:
        """Return the options that upgrade what is named, and nothing else without need."""

    def install_words(self, words: Sequence[str]) -> list[str]:
        """Return the command that installs."""

    def uninstall_words(self, names: Sequence[str]) -> list[str]:
        """Return the command that uninstalls."""

    def plan(self, words: Sequence[str], names: Sequence[str]) -> list[Change]:
        """Return what would be installed. Raises RangeConflict, InstallerFailed or Unreadable."""


class Pip:
    """pip of the environment itself."""

    name = "pip"
    warns = True
    pre_options: tuple[str, ...] = ("--pre",)

    def __init__(self, python: str) -> None:
        # Without the folder where somebody stands, whose modules would hide pip's.
        self._command = [python, "-P", "-m", "pip"]

    def upgrade_options(self, names: Sequence[str]) -> list[str]:  # noqa: ARG002 - it upgrades what is named
        """Return the options that upgrade what is named, and nothing else without need."""
        return ["--upgrade"]

    def install_words(self, words: Sequence[str]) -> list[str]:
        """Return the command that installs."""
        return [*self._command, "install", "--quiet", *words]

    def uninstall_words(self, names: Sequence[str]) -> list[str]:
        """Return the command that uninstalls."""
        return [*self._command, "uninstall", "--yes", *names]

    def plan(self, words: Sequence[str], names: Sequence[str]) -> list[Change]:
        """Return what would be installed. Raises RangeConflict, InstallerFailed or Unreadable."""
        with TemporaryDirectory() as folder:
            report = Path(folder, "report.json")
            # Not quiet, because pip says what is in conflict with what among its progress.
            asked = [*self._command, "install", *words, "--dry-run", "--report", str(report)]
            ended = run(asked, "Looking up what would be installed")
            _check_planned(ended, self.name, conflicts_of_pip(ended.stdout))
            try:
                return changes_of_pip(report.read_text(encoding="utf-8"), names)
            except (OSError, ValueError, KeyError, TypeError):
                raise Unreadable(self.name) from None


class Uv:
    """uv, for an environment without pip."""

    name = "uv"
    warns = False  # it tells its progress there
    pre_options: tuple[str, ...] = ("--prerelease=allow",)

    def __init__(self, program: str, python: str) -> None:
        self._program, self._python = program, python

    def upgrade_options(self, names: Sequence[str]) -> list[str]:
        """Return the options that upgrade what is named, and nothing else without need."""
        return [f"--upgrade-package={name}" for name in names]

    def install_words(self, words: Sequence[str]) -> list[str]:
        """Return the command that installs."""
        return [self._program, "pip", "install", "--python", self._python, *words]

    def uninstall_words(self, names: Sequence[str]) -> list[str]:
        """Return the command that uninstalls."""
        return [self._program, "pip", "uninstall", "--python", self._python, *names]

    def plan(self, words: Sequence[str], names: Sequence[str]) -> list[Change]:
        """Return what would be installed. Raises RangeConflict or InstallerFailed."""
        ended = run([*self.install_words(words), "--dry-run", "--color", "never"], "Looking up what would be installed")
        _check_planned(ended, self.name, conflicts_of_uv(ended.stderr))
        return changes_of_uv(ended.stderr, names)


def _check_planned(ended: Ended, installer: str, wants: Sequence[Conflict]) -> None:
    if ended.code == 0:
        return
    if wants:
        raise RangeConflict(wants)
    raise InstallerFailed(installer, "looking up what it would install", ended.last_lines())


def installer_for(
    environment: Environment,
    words: Sequence[str],
    *,
    user: bool = False,
    passed: Sequence[str] = (),
    removes: bool = False,
) -> Installer:
    """Return what installs into an environment. Raises a CannotInstall that says what to do where srv may not."""
    if environment.is_of_pipx:
        raise OfPipx(words, removes=removes)
    if environment.uv_tool is not None:
        gone = set(map(normalised, words)) if removes else set()
        kept = [word for name, word in environment.uv_tool if name not in gone] or [OURS]
        raise OfUvTool([*kept, *(() if removes else words)])
    if user and environment.is_virtual:
        raise UserInVirtual(environment)
    overridden = any(word.partition("=")[0] in _OVERRIDES for word in passed)
    if environment.is_managed and not overridden:
        raise ExternallyManaged(environment)
    if not (environment.is_writable or user or overridden):
        raise NotWritable(environment.packages)
    if environment.has_pip:
        return Pip(environment.python)
    if environment.uv is None:
        raise NoInstaller(environment)
    if user:
        raise NoUserOption
    return Uv(environment.uv, environment.python)


def shown(words: Sequence[str]) -> str:
    """Return a command as somebody types it, without passwords and without what only srv needs."""
    return masked(shlex.join(word for word in words if word not in ("-P", "--quiet")))
