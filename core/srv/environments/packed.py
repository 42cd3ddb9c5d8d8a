"""Packed environments: archives by venv-pack or conda-pack are read through before anything is extracted."""

from __future__ import annotations

import configparser
import posixpath
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from lzma import LZMAError
from pathlib import Path

import msgspec

from srv.environments.errors import (
    ArchiveBroken,
    ArchiveLeaves,
    NoBasePython,
    NoEnvironment,
    OldPython,
    OtherMachine,
    WithoutSrv,
)
from srv.environments.machine import check_program, doubts, this_machine
from srv.environments.programs import Program, Version, offered, read_program
from srv.errors import quoted
from srv.tar_members import BadMember, damage, leads_out, plain_name

#: The oldest Python that srv runs on.
OLDEST = (3, 11)
#: What the archive's name must end with; the content decides how it is compressed.
ENDINGS = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar")
#: What the libraries raise for an archive that is damaged, or that they refuse.
BROKEN = (tarfile.TarError, zlib.error, LZMAError, EOFError, OSError, ValueError, RuntimeError)

_PYTHON = re.compile(r"(?P<top>(?:[^/]+/)?)bin/python(?:3(?:\.[0-9]+)?)?")
_WINDOWS = re.compile(r"(?:[^/]+/)?(?:Scripts/)?python\.exe", re.IGNORECASE)
_LIBRARY = re.compile(r"lib/python(3\.[0-9]+)/")
_SRV = re.compile(r"lib/python3\.[0-9]+/site-packages/srv_inference-([^/]+)\.dist-info/METADATA")
#: Files that are read whole; larger ones are none that decide.
_MOST = 96_000_000


class PackedEnvironment(msgspec.Struct, frozen=True):
    """What an archive holds, as far as it can be told without running it."""

    #: The folder in it that is the environment: empty, or a name with a slash.
    top: str
    #: The bytes of all files.
    size: int
    #: The names of links that leave the archive on purpose: those to the Python that a virtual environment is made with.
    base_links: frozenset[str]
    #: Such as 3.12; empty where the archive does not say.
    python: str
    #: The version of srv-inference; None where it comes from outside of the archive.
    srv: str | None
    #: What libraries of it need and this machine lacks.
    doubts: tuple[str, ...]


def examine_archive(archive: Path, tick: Callable[[], object] = lambda: None) -> PackedEnvironment:
    """Return what an archive holds; `tick` is called for each member, and may raise.

    Raises EnvironmentUnusable where it is damaged, would leave its folder, or does not fit this machine or srv.
    """
    if not archive.name.lower().endswith(ENDINGS):
        raise NoEnvironment(archive, "which is no folder and no .tar.gz, .tar.bz2, .tar.xz or .tar")
    look = _Look(archive)
    try:
        with tarfile.open(archive) as opened:
            for member in opened:
                tick()
                look.take(member, opened)
            look.end(opened)
    except BROKEN as error:
        raise ArchiveBroken(str(archive), damage(error)) from None
    return look.packed()


class _Look:
    """What has been seen of an archive so far."""

    def __init__(self, archive: Path) -> None:
        self._archive = archive
        self._size = 0
        self._files: set[str] = set()
        self._links: dict[str, str] = {}
        self._programs: dict[str, Program] = {}
        self._libraries: dict[str, Program] = {}
        self._cxx: Version | None = None
        self._pyvenv: dict[str, str] = {}
        self._is_windows = False

    def take(self, member: tarfile.TarInfo, opened: tarfile.TarFile) -> None:
        """Look at a member. Raises ArchiveLeaves or ArchiveBroken for what must not be extracted."""
        try:
            name = plain_name(member)
        except BadMember as error:
            raise ArchiveLeaves(str(self._archive), quoted(error.member), f"which {error.how}") from None
        if member.issym():
            self._take_link(member, name)
        elif member.islnk():
            self._check_hard_link(member, name)
        elif member.isreg():
            self._size += member.size
            self._files.add(name)
            self._read(name, member, opened)
        elif not member.isdir():
            raise ArchiveBroken(str(self._archive), f"{quoted(name)} is a device or a pipe.")

    def end(self, opened: tarfile.TarFile) -> None:
        """Raise ArchiveBroken for an archive that was cut off between two members, which tarfile takes for its end."""
        raw = opened.fileobj
        assert raw is not None
        raw.seek(opened.offset)
        if raw.read(tarfile.BLOCKSIZE) != b"\0" * tarfile.BLOCKSIZE:
            raise ArchiveBroken(str(self._archive), "it is cut off.")
        while raw.read(1 << 20):
            pass  # because the checksum of what is compressed comes last
        for link in self._links:
            below = f"{link}/"
            inside = next((name for name in (*self._files, *self._links) if name.startswith(below)), None)
            if inside is not None:
                raise ArchiveLeaves(str(self._archive), quoted(inside), f"which lies behind the link {quoted(link)}")

    def _take_link(self, member: tarfile.TarInfo, name: str) -> None:
        target = member.linkname
        if name in self._files:
            raise ArchiveBroken(str(self._archive), f"{quoted(name)} is there twice.")
        is_base = _PYTHON.fullmatch(name) is not None and target.startswith("/")
        if not is_base and leads_out(name, target):
            raise ArchiveLeaves(
                str(self._archive), f"the link {quoted(name)}", f"which leads out of its folder to {quoted(target)}"
            )
        self._links[name] = target

    def _check_hard_link(self, member: tarfile.TarInfo, name: str) -> None:
        if posixpath.normpath(member.linkname) not in self._files:
            raise ArchiveLeaves(
                str(self._archive), f"the hard link {quoted(name)}", f"which leads to {quoted(member.linkname)}"
            )
        self._files.add(name)

    def _read(self, name: str, member: tarfile.TarInfo, opened: tarfile.TarFile) -> None:
        self._is_windows = self._is_windows or _WINDOWS.fullmatch(name) is not None
        base = posixpath.basename(name)
        is_program = _PYTHON.fullmatch(name) is not None
        if is_program or ".so" in base or base.startswith("libpython"):
            content = _content(member, opened)
            program = read_program(content)
            if is_program or base.startswith("libpython"):
                self._programs[name] = program
            else:
                self._libraries[name] = program
            if base.startswith("libstdc++.so"):
                self._cxx = max(filter(None, (self._cxx, offered(content).get("GLIBCXX"))), default=None)
        elif base == "pyvenv.cfg" and name.count("/") < 2:
            self._pyvenv = _read_pyvenv(_content(member, opened))

    # -- conclusions ---------------------------------------------------------------------------------------------------

    def packed(self) -> PackedEnvironment:
        """Return what the archive is. Raises EnvironmentUnusable where it does not fit."""
        shown = str(self._archive)
        pythons = sorted(filter(_PYTHON.fullmatch, (*self._files, *self._links)), key=lambda name: name.count("/"))
        if self._is_windows:
            raise OtherMachine(shown, "Windows", this_machine())
        if not pythons:
            raise NoEnvironment(self._archive, "which holds no bin/python")
        top = _top(pythons[0])
        for name, program in self._programs.items():
            if name.startswith(top):
                check_program(program, shown)
        self._check_extensions(shown)
        base_links = frozenset(name for name in pythons if self._links.get(name, "").startswith("/"))
        for name in base_links:
            if not Path(self._links[name]).exists():
                raise NoBasePython(shown, self._links[name])
        python = self._python(top)
        if python and tuple(map(int, python.split("."))) < OLDEST:
            raise OldPython(shown, python)
        return PackedEnvironment(top, self._size, base_links, python, self._srv(top), tuple(self._doubts()))

    def _check_extensions(self, shown: str) -> None:
        """Raise OtherMachine for extension modules of another machine, which a virtual environment shows it by."""
        if any(program.system for program in self._programs.values()):
            return
        for name, program in self._libraries.items():
            if program.system and (".cpython-" in name or ".abi3." in name):
                check_program(Program(program.system, program.machine), shown)

    def _python(self, top: str) -> str:
        said = self._pyvenv.get("version", self._pyvenv.get("version_info", ""))
        if found := re.match(r"[0-9]+\.[0-9]+", said):
            return found[0]
        versions = {found[1] for name in self._files if (found := _LIBRARY.match(name.removeprefix(top)))}
        return max(versions, key=lambda version: tuple(map(int, version.split("."))), default="")

    def _srv(self, top: str) -> str | None:
        for name in self._files:
            if found := _SRV.fullmatch(name.removeprefix(top)):
                return found[1]
        if self._pyvenv.get("include-system-site-packages", "").lower() == "true":
            return None
        raise WithoutSrv(
            str(self._archive),
            "pip install srv-inference in the environment that it was packed of, and pack that again",
        )

    def _doubts(self) -> Iterator[str]:
        for name, program in self._libraries.items():
            if program.system == "Linux":
                yield from doubts(posixpath.basename(name), program, self._cxx)


def _top(python: str) -> str:
    """Return the folder of the environment, by the name of its Python: empty, or with a slash."""
    found = _PYTHON.fullmatch(python)
    assert found is not None
    return found["top"]


def _content(member: tarfile.TarInfo, opened: tarfile.TarFile) -> bytes:
    file = opened.extractfile(member)
    return b"" if file is None else file.read(_MOST)


def _read_pyvenv(content: bytes) -> dict[str, str]:
    """Return what a pyvenv.cfg says, by keys; nothing where it cannot be read."""
    parser = configparser.ConfigParser(interpolation=None, strict=False, delimiters=("=",))
    try:
        parser.read_string("[pyvenv]\n" + content.decode(errors="replace"))
    except configparser.Error:
        return {}
    return dict(parser["pyvenv"])
