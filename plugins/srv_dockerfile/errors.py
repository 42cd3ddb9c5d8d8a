"""What keeps a folder from becoming an image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from srv.errors import SrvError, closed, quoted
from srv.images import BuildFailed


class LinkLeaves(SrvError):
    """A symbolic link leads to what the image will not have."""

    def __init__(self, name: str, target: str, why: str) -> None:
        super().__init__(
            f"{quoted(name)} is a link to {quoted(target)}, which {why}, so the image would not have it. Copy what it "
            "leads to into the folder, or name the link in .dockerignore."
        )


class TwoCondaFiles(SrvError):
    """More than one file says what the conda environment is."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(f"{' and '.join(names)} both describe an environment. Keep the one that the image shall have.")


class BadCondaFile(SrvError):
    """A conda file that cannot be understood."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name} is not a conda environment: {closed(why)}")


class PythonTooOld(SrvError):
    """The conda file asks for a Python that srv does not run on."""

    def __init__(self, name: str, spec: str) -> None:
        super().__init__(f"{name} asks for {quoted(spec)}, and srv needs Python 3.11 or newer. Ask for python>=3.11.")


class BadRequirements(SrvError):
    """A requirements file has a line that an image cannot follow."""

    def __init__(self, place: str, line: str, why: str) -> None:
        super().__init__(f"{place} has the line {quoted(line)}: {closed(why)}")


class LeftOut(SrvError):
    """The user's .dockerignore hides a file that the image is made of."""

    def __init__(self, name: str) -> None:
        super().__init__(f".dockerignore leaves out {name}, which the image is made of. Add the line '!{name}' to it.")


class NotInstalled(SrvError):
    """A plugin's distribution has no metadata, so nobody knows what pip would have to install."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The settings name a plugin of {name}, whose metadata is gone, so nobody knows which version the image "
            "needs. Install it again."
        )


class SourceGone(SrvError):
    """A distribution was installed from a file or folder that is there no longer."""

    def __init__(self, name: str, path: Path) -> None:
        super().__init__(
            f"{name} was installed from {path}, which is not there any more, so it cannot travel in the image. "
            "Install it again, or name it in requirements.txt as an index has it."
        )


class WheelFailed(BuildFailed):
    """A distribution that is not on an index could not be made a wheel."""

    def __init__(self, name: str, source: str, output: Sequence[str]) -> None:
        said = "".join(f"\n  {line}" for line in output)
        super().__init__(f"No wheel could be made of {name}, which was installed from {source}:{said}\nMend that first")


class DockerfileThere(SrvError):
    """There is a file where the Dockerfile would be written."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is there already. Give --force to replace it, or another name with -o.")


class CannotWrite(SrvError):
    """A file could not be written."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(f"{path} cannot be written: {error.strerror or type(error).__name__}.")
