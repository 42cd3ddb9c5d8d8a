"""What keeps srv from installing or uninstalling a plugin, and what to do then."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from srv.discovery.plugin import OURS
from srv.errors import SrvError, closed, listed, nearest, quoted
from srv_install.environments import Environment
from srv_install.masking import masked


class CannotInstall(SrvError):
    """Nothing was changed."""


class OfPipx(CannotInstall):
    """pipx made the environment and keeps its own record of what is in it."""

    def __init__(self, words: Sequence[str], *, removes: bool) -> None:
        verb = "uninject" if removes else "inject"
        super().__init__(
            f"pipx made the environment that runs srv, and changes it itself: {shlex.join(['pipx', verb, OURS, *words])}"
        )


class OfUvTool(CannotInstall):
    """`uv tool install` made the environment and replaces it whole."""

    def __init__(self, requirements: Sequence[str]) -> None:
        tool, *others = requirements
        with_these = [part for each in others for part in ("--with", each)]
        super().__init__(
            "uv tool made the environment that runs srv, and makes it anew with what it is told: "
            f"{shlex.join(['uv', 'tool', 'install', tool, *with_these])}"
        )


class ExternallyManaged(CannotInstall):
    """A package manager of the system owns this Python's packages (PEP 668)."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(
            f"The package manager of this system looks after {environment}, so srv changes nothing in it. Make a virtual "
            f"environment and install there: python3 -m venv .venv && .venv/bin/pip install {OURS}, then "
            ".venv/bin/srv install."
        )


class NotWritable(CannotInstall):
    """This user may not write where packages are installed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"Packages are installed to {folder}, which this user may not write to. Make a virtual environment "
            "(python3 -m venv), or give --user, which installs for this user alone."
        )


class UserInVirtual(CannotInstall):
    """--user means nothing in a virtual environment, which does not see the user's packages."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(f"srv runs in {environment}, which does not see packages of --user. Leave --user out.")


class NoInstaller(CannotInstall):
    """There is neither pip nor uv."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(
            f"There is no pip in {environment}, and no uv on the PATH. Install either: {environment.python} -m ensurepip, "
            "or https://docs.astral.sh/uv."
        )


class NoUserOption(CannotInstall):
    """uv cannot install for one user alone."""

    def __init__(self) -> None:
        super().__init__(
            "uv has no --user. Make a virtual environment (uv venv), and install srv and the plugin there."
        )


class NoRequirement(CannotInstall):
    """A NAME is nothing that an installer takes."""

    def __init__(self, word: str) -> None:
        super().__init__(
            f"{quoted(masked(word))} is no requirement. Write a package's name with or without a version "
            "('srv-sklearn>=0.1'), a path with a slash ('./srv-mine'), or a URL."
        )


class LibraryMeant(CannotInstall):
    """The name is a library's, and the plugin for it has another name."""

    def __init__(self, library: str, plugin: str) -> None:
        super().__init__(
            f"'{library}' is a library and no plugin of srv; the plugin for it is {plugin}: srv install {plugin}"
        )


class WrongRange(CannotInstall):
    """What would be installed was made for another srv."""

    def __init__(self, wants: Sequence[tuple[str, str, str]], running: str) -> None:
        said = " ".join(
            f"{name} {version} requires {requirement}." if version else f"{name} requires {requirement}."
            for name, version, requirement in wants
        )
        first = wants[0][0]
        super().__init__(
            f"{said} This is {OURS} {running}, and nothing was changed. Ask for a version of {first} that was made for it, "
            f"or for another srv too: srv install {first} '{wants[0][2]}'"
        )


class OthersRefused(CannotInstall):
    """The srv that would be installed refuses plugins that are installed."""

    def __init__(self, version: str, plugins: Iterable[str]) -> None:
        super().__init__(
            f"{OURS} {version} would refuse what is installed: {listed(plugins)} do not admit it. Name versions that do in "
            "the same command, or uninstall them first. Nothing was changed."
        )


class InstallerFailed(CannotInstall):
    """The installer ended with an error; its last lines say why."""

    def __init__(self, installer: str, doing: str, output: Sequence[str]) -> None:
        lines = "".join(f"\n  {masked(line)}" for line in output)
        super().__init__(f"{installer} failed while {doing}:{lines}" if lines else f"{installer} failed while {doing}.")


class Unreadable(CannotInstall):
    """The installer's answer is not what srv understands."""

    def __init__(self, installer: str) -> None:
        super().__init__(
            f"{installer} does not say what it would install. Install a newer one: pip 22.2 or later says it."
        )


class BringsNothing(SrvError):
    """What was installed has no plugin in it."""

    def __init__(self, names: Iterable[str], undo: Sequence[str]) -> None:
        super().__init__(f"{listed(names)}: installed, and brings nothing to srv. {undone_by(undo)}")


class CheckFailed(SrvError):
    """What was installed does not work."""

    def __init__(self, names: Iterable[str], faults: int, undo: Sequence[str]) -> None:
        super().__init__(
            f"{listed(names)}: {faults} fault{'s' if faults > 1 else ''} found after the install. {undone_by(undo)}"
        )


class ChildFailed(SrvError):
    """The srv in the changed environment does not even list its plugins."""

    def __init__(self, output: Sequence[str], undo: Sequence[str]) -> None:
        lines = "".join(f"\n  {line}" for line in output)
        super().__init__(f"{undone_by(undo)}\nsrv does not run any more with what was installed:{lines}")


class NotThere(CannotInstall):
    """A package is to be uninstalled that is not installed."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        advice = nearest(name, known) or f" What brings something to srv: {listed(known)}."
        super().__init__(f"{quoted(name)} is not installed.{advice}")


class SrvItself(CannotInstall):
    """srv would uninstall itself."""

    def __init__(self, command: str) -> None:
        super().__init__(f"{OURS} is srv itself, which does not uninstall itself: {command}")


class NoPlugin(CannotInstall):
    """The package has nothing to do with srv."""

    def __init__(self, name: str, command: str) -> None:
        super().__init__(f"{quoted(name)} brings nothing to srv, so srv does not uninstall it: {command}")


class StillRequired(CannotInstall):
    """Other packages require what is to be uninstalled."""

    def __init__(self, required: str, by: Sequence[str]) -> None:
        super().__init__(
            f"{listed(by)} {'requires' if len(by) == 1 else 'require'} {required}. Uninstall "
            f"{'that' if len(by) == 1 else 'those'} too, or give --force."
        )


class StillThere(SrvError):
    """The installer removed one installation, and there is another."""

    def __init__(self, name: str, version: str, location: str) -> None:
        super().__init__(f"{name} {version} is installed in {location} still: the installer did not remove it.")


def undone_by(commands: Sequence[str]) -> str:
    """Return the sentence that says how to undo a change."""
    return f"To undo: {closed(' && '.join(commands)).removesuffix('.')}" if commands else "Nothing was changed."
