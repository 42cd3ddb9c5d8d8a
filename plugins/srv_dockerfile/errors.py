"""Errors that keep a folder from becoming an image."""

from __future__ import annotations

import errno
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from srv.errors import SrvError, closed, quoted
from srv.images import BuildFailed


class LinkLeaves(SrvError):
    """A symbolic link leads to a place that the image will not have."""

    def __init__(self, name: str, target: str, why: str) -> None:
        super().__init__(
            f"{quoted(name)} is a link to {quoted(target)}, which {why}, so the image would not have it. Copy what it "
            "leads to into the folder, or name the link in .dockerignore; srv's own lines hold as well."
        )


class TwoCondaFiles(SrvError):
    """More than one file says what the conda environment is."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(f"{' and '.join(names)} both describe an environment. Keep the one that the image shall have.")


class BadCondaFile(SrvError):
    """A conda file cannot be understood."""

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


class BadSecret(SrvError):
    """An id of a secret that no Dockerfile can name."""

    def __init__(self, secret: str) -> None:
        super().__init__(
            f"{quoted(secret)} is no id of a secret. It is made of letters, digits and . _ -, as in netrc, pip.conf or "
            "INDEX_TOKEN."
        )


class SecretTravels(SrvError):
    """A file that is given as a secret lies in the folder, and the image would have it."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{quoted(name)} is given as a secret and lies in the folder, so it would be copied into the image. Name it in "
            ".dockerignore, or move it out."
        )


class SecretFiles(SrvError):
    """Files of the folder hold secrets, and the image would have them."""

    def __init__(self, kinds: Mapping[str, str]) -> None:
        shown = [f"{quoted(name)} ({kind})" for name, kind in list(kinds.items())[:10]]
        more = f" and {len(kinds) - 10} more" if len(kinds) > 10 else ""
        super().__init__(
            f"Everybody who has the image could read what is secret: {', '.join(shown)}{more}. Name it in .dockerignore and "
            "give it to the container instead, as a mounted file or a variable; or, if it may be read, "
            f"--allow {shlex.quote(next(iter(kinds)))}."
        )


class LeftOut(SrvError):
    """The user's .dockerignore hides a file that the image is made of."""

    def __init__(self, name: str) -> None:
        super().__init__(f".dockerignore leaves out {name}, which the image is made of. Add the line '!{name}' to it.")


class BadIgnorePattern(SrvError):
    """A line of .dockerignore that Docker refuses."""

    def __init__(self, line: str, why: str) -> None:
        super().__init__(f".dockerignore has the line {quoted(line.strip())}, which is no pattern: {closed(why)}")


class UnknownCuda(SrvError):
    """A version of CUDA that no index has packages for."""

    def __init__(self, version: str, known: str) -> None:
        super().__init__(
            f"No index has packages for CUDA {quoted(version)}. There are {known}; take the nearest below."
        )


class NotInstalled(SrvError):
    """A plugin's distribution has no metadata, so nobody knows what pip would have to install."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The settings name a plugin of {name}, whose metadata is gone, so nobody knows which version the image "
            "needs. Install it again."
        )


class SourceGone(SrvError):
    """The file or folder from which a distribution was installed is gone."""

    def __init__(self, name: str, path: Path) -> None:
        super().__init__(
            f"{name} was installed from {path}, which is not there any more, so it cannot travel in the image. "
            "Install it again, or name it in requirements.txt as an index has it."
        )


class WheelFailed(BuildFailed):
    """No wheel could be made of a distribution that is on no index."""

    def __init__(self, name: str, source: str, output: Sequence[str]) -> None:
        said = "".join(f"\n  {line}" for line in output)
        super().__init__(f"No wheel could be made of {name}, which was installed from {source}:{said}\nMend that first")


class DockerfileThere(SrvError):
    """A file exists where the Dockerfile would be written."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is there already. Give --force to replace it, or another name with -o.")


class CannotWrite(SrvError):
    """A file could not be written."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(f"{path} cannot be written: {error.strerror or type(error).__name__}.")


class CannotRead(SrvError):
    """A file or folder that would go into the image could not be read."""

    def __init__(self, name: str, error: OSError) -> None:
        super().__init__(
            f"{quoted(name)} cannot be read ({error.strerror or type(error).__name__}), so the image would not have it. "
            "Change its rights, or leave it out with a line in .dockerignore."
        )


class BadLock(SrvError):
    """A lock cannot be understood."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name} cannot be read as a lock: {closed(why)}")


class BadProject(SrvError):
    """A pyproject.toml says something of its dependencies that an image cannot follow."""

    def __init__(self, why: str) -> None:
        super().__init__(f"pyproject.toml cannot be made an environment: {closed(why)}")


class BadConstraint(SrvError):
    """A constraint of Poetry's for which pip has no words."""

    def __init__(self, constraint: str) -> None:
        super().__init__(
            f"pip has no words for the version {quoted(constraint)}. Run 'poetry lock', and srv reads that."
        )


class NoPythonFits(SrvError):
    """A file asks for Pythons on which srv does not run."""

    def __init__(self, place: str, wanted: str) -> None:
        super().__init__(f"{place} asks for Python {quoted(wanted)}, and srv needs 3.11 or newer. Ask for >=3.11.")


class PasswordInFile(SrvError):
    """An address in a file of the folder has a password or a token in it."""

    def __init__(self, place: str, address: str) -> None:
        super().__init__(
            f"{place} has a password in the address {quoted(address)}, and whoever has the image could read it. Take it out "
            "there, and give it to the build: --secret id=netrc,src=$HOME/.netrc, or write ${NAME} in its place in a "
            "requirements file, with --secret id=NAME,env=NAME."
        )


class BadSystemPackage(SrvError):
    """A line of apt.txt that names no package of Debian's."""

    def __init__(self, place: str, line: str) -> None:
        super().__init__(
            f"{place} has the line {quoted(line)}, which is no package of Debian's. Write one name on each line, such as "
            "libgomp1, or name=version."
        )


class CannotPrepare(SrvError):
    """A file or folder cannot be read or written while an image is planned or its files are gathered."""

    def __init__(self, error: OSError) -> None:
        place = f" {quoted(error.filename)}" if error.filename is not None else ""
        reason = f"{error.strerror or error}{place}"
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            advice = "Make room there, or name another folder for temporary files in the variable TMPDIR"
        elif error.errno in {errno.EACCES, errno.EPERM}:
            advice = (
                "See that you may read the folder and all in it, or leave the file out with a line in .dockerignore"
            )
        else:
            advice = "See that it is there and whole"
        super().__init__(f"The image cannot be prepared: {reason}. {advice}.")
