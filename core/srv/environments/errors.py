"""Errors of environments, each with its sentence, which fits into the 300 characters of the index's reason."""

from __future__ import annotations

from pathlib import Path

from srv.errors import SrvError, closed


class EnvironmentUnusable(SrvError):
    """What `process.environment` names cannot be used: the sentence says why, and what to do."""

    def __init__(self, sentence: str) -> None:
        super().__init__(closed(sentence))


class NoEnvironment(EnvironmentUnusable):
    """Nothing is there, or nothing that is an environment."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            f"process.environment names {path}, {what}. It must be the folder of a virtual or conda environment, or an "
            "archive of one by venv-pack or conda-pack, such as env.tar.gz"
        )


class OtherMachine(EnvironmentUnusable):
    """The environment was made for another system, processor or C library."""

    def __init__(self, name: str, made_for: str, here: str) -> None:
        super().__init__(
            f"The environment {name} is for {made_for}, and this machine is {here}. Make it on a machine like this one, "
            "or in the image that serves"
        )


class NoBasePython(EnvironmentUnusable):
    """A virtual environment has no Python of its own, and the one it was made with is not here."""

    def __init__(self, name: str, base: str) -> None:
        super().__init__(
            f"The Python of the environment {name} is {base}, which is not on this machine: a virtual environment brings "
            "none. Install that Python there, pack with venv-pack --python-prefix, or use conda-pack, which brings its own"
        )


class OldPython(EnvironmentUnusable):
    """The Python of the environment is older than srv takes."""

    def __init__(self, name: str, version: str) -> None:
        super().__init__(
            f"The environment {name} has Python {version}, and srv needs 3.11 or newer there. Make it again with a newer one"
        )


class WithoutSrv(EnvironmentUnusable):
    """The environment lacks srv-inference, with which a model process speaks to the server."""

    def __init__(self, name: str, command: str, found: str | None = None) -> None:
        has = (
            "does not have srv-inference"
            if found is None
            else f"has srv-inference {found}, which has no model processes"
        )
        super().__init__(f"The environment {name} {has}: {command}")


class ArchiveBroken(EnvironmentUnusable):
    """An archive is damaged, cut off, or has what no environment has."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"The archive {name} of the environment cannot be used: {closed(why)} Pack it again")


class ArchiveLeaves(EnvironmentUnusable):
    """An archive has a file or a link that would leave its folder."""

    def __init__(self, name: str, member: str, how: str) -> None:
        super().__init__(
            f"The archive {name} of the environment has {member}, {how}. Nothing of it was extracted; do not trust where it "
            "comes from"
        )


class UnpackFailed(EnvironmentUnusable):
    """The environment's own conda-unpack, or its Python, failed where it was run."""

    def __init__(self, name: str, what: str, how: str) -> None:
        super().__init__(f"{what} of the environment {name} {how}")


class TooLong(EnvironmentUnusable):
    """The time for the load was over before the environment was ready."""

    def __init__(self, name: str, doing: str, seconds: float) -> None:
        super().__init__(
            f"{doing} of the environment {name} was not over after the {seconds:g} s of load_timeout. Raise it where that is "
            "right"
        )
