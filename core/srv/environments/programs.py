"""Programs and shared libraries: the system and processor that a file is for, and the libraries that it needs."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import msgspec

#: How files of programs begin: ELF of Linux, Mach-O of macOS in its forms, PE of Windows.
_ELF = b"\x7fELF"
_MACH_O = (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xfe\xed\xfa\xcf", b"\xfe\xed\xfa\xce", b"\xca\xfe\xba\xbe")
_PE = b"MZ"
#: Processors by their numbers in ELF, named as platform.machine() names them on Linux.
_MACHINES = {3: "i686", 21: "ppc64le", 22: "s390x", 40: "armv7l", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
_LOAD, _DYNAMIC, _INTERPRETER = 1, 2, 3
_STRINGS, _NEEDS, _NEEDS_COUNT = 5, 0x6FFFFFFE, 0x6FFFFFFF
_OFFERS, _OFFERS_COUNT = 0x6FFFFFFC, 0x6FFFFFFD
_VERSION = re.compile(r"([A-Za-z]+)_([0-9]+(?:\.[0-9]+)*)")

#: A version as it is compared: GLIBC_2.38 is (2, 38).
Version = tuple[int, ...]


class Program(msgspec.Struct, frozen=True):
    """What a file says of itself. `needs` has the newest version that it needs of each name, such as GLIBC or GLIBCXX."""

    system: str
    machine: str = ""
    #: The path of the loader that the system runs it by; empty for a library and for a static program.
    loader: str = ""
    needs: Mapping[str, Version] = MappingProxyType({})


def read_program(content: bytes) -> Program:
    """Return what a program or library says of itself; `system` is empty for a file that is none."""
    if content.startswith(_MACH_O):
        return Program("macOS")
    if content.startswith(_PE):
        return Program("Windows")
    if not content.startswith(_ELF):
        return Program("")
    try:
        return _Elf(content).program()
    except (struct.error, LookupError, ValueError):  # cut off, or made by a tool that does as it likes
        return Program("Linux", _MACHINES.get(int.from_bytes(content[18:20], "little"), ""))


def offered(content: bytes) -> Mapping[str, Version]:
    """Return the newest version of each name that a library offers; nothing for a file that is no library."""
    if not content.startswith(_ELF):
        return {}
    try:
        return _newest(_Elf(content).offers())
    except (struct.error, LookupError, ValueError):
        return {}


def shown_version(version: Version) -> str:
    """Return a version as people write it."""
    return ".".join(map(str, version))


class _Elf:
    """An ELF file of 64 bits; others are told by their machine alone."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._order = "<" if content[5] == 1 else ">"
        self._machine = _MACHINES.get(self._read("H", 18)[0], "another processor")
        self._is_64 = content[4] == 2
        self._segments = list(self._read_segments()) if self._is_64 else []

    def program(self) -> Program:
        loader = next((self._text(offset) for kind, offset, *_ in self._segments if kind == _INTERPRETER), "")
        return Program("Linux", self._machine, loader, _newest(self._needed()))

    def _read(self, form: str, offset: int) -> tuple[int, ...]:
        return struct.unpack_from(self._order + form, self._content, offset)

    def _read_segments(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield kind, offset in the file, address and size of each segment."""
        [table] = self._read("Q", 32)
        size, count = self._read("HH", 54)
        for number in range(count):
            kind, _, offset, address, _, length = self._read("IIQQQQ", table + number * size)
            yield kind, offset, address, length

    def _dynamic(self) -> dict[int, int]:
        entries: dict[int, int] = {}
        for kind, offset, _, length in self._segments:
            if kind == _DYNAMIC:
                for at in range(offset, offset + length, 16):
                    tag, value = self._read("QQ", at)
                    entries.setdefault(tag, value)
        return entries

    def _place(self, address: int) -> int:
        """Return where in the file that is which stands at an address once it is loaded. Raises ValueError."""
        for kind, offset, begin, length in self._segments:
            if kind == _LOAD and begin <= address < begin + length:
                return offset + address - begin
        raise ValueError(address)

    def _text(self, offset: int) -> str:
        return self._content[offset : self._content.index(b"\0", offset)].decode("ascii", "replace")

    def _needed(self) -> Iterator[str]:
        """Yield the versions of other libraries that this one needs, such as GLIBC_2.34."""
        dynamic = self._dynamic()
        if _NEEDS not in dynamic:
            return
        strings, at = self._place(dynamic[_STRINGS]), self._place(dynamic[_NEEDS])
        for _ in range(dynamic.get(_NEEDS_COUNT, 0)):
            _, count, _, first, following = self._read("HHIII", at)
            version = at + first
            for _ in range(count):
                _, _, _, name, step = self._read("IHHII", version)
                yield self._text(strings + name)
                version += step
            at += following

    def offers(self) -> Iterator[str]:
        """Yield the versions that this library has, such as GLIBCXX_3.4.30."""
        dynamic = self._dynamic()
        if _OFFERS not in dynamic:
            return
        strings, at = self._place(dynamic[_STRINGS]), self._place(dynamic[_OFFERS])
        for _ in range(dynamic.get(_OFFERS_COUNT, 0)):
            *_, first, following = self._read("HHHHIII", at)
            name, _ = self._read("II", at + first)
            yield self._text(strings + name)
            at += following


def _newest(versions: Iterator[str]) -> Mapping[str, Version]:
    newest: dict[str, Version] = {}
    for text in versions:
        if read := _VERSION.fullmatch(text):
            version = tuple(map(int, read[2].split(".")))
            newest[read[1]] = max(version, newest.get(read[1], ()))
    return newest
