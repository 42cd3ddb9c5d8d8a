import os
import random
from pathlib import Path

import pytest
from packing import BASE

from srv.environments import machine
from srv.environments.machine import glibc
from srv.environments.programs import Program, offered, read_program

WHOLE = Path(BASE).read_bytes()


def test_a_program_says_its_processor_and_what_it_needs():
    program = read_program(WHOLE)
    assert (program.system, program.machine) == ("Linux", os.uname().machine)
    assert Path(program.loader).exists()
    assert (2, 0) < program.needs["GLIBC"] <= glibc()


def test_a_library_says_what_it_offers():
    loaded = Path("/proc/self/maps").read_text().splitlines()
    library = next(Path(line.split()[-1]) for line in loaded if "/libc.so" in line)
    assert offered(library.read_bytes())["GLIBC"] == glibc()


@pytest.mark.parametrize(
    "head, system",
    [
        (b"\xcf\xfa\xed\xfe", "macOS"),
        (b"\xca\xfe\xba\xbe", "macOS"),
        (b"MZ\x90", "Windows"),
        (b"#!/bin/sh", ""),
        (b"", ""),
    ],
)
def test_other_files_are_told_by_their_first_bytes(head, system):
    assert read_program(head) == Program(system)


def test_a_program_that_is_damaged_raises_nothing():
    chance = random.Random(7)
    head = bytearray(WHOLE[:65536])
    for _ in range(300):
        damaged = bytearray(head[: chance.randrange(4, len(head))])
        for _ in range(20):
            damaged[chance.randrange(len(damaged)) if len(damaged) > 4 else 0] = chance.randrange(256)
        damaged[:4] = b"\x7fELF"
        assert read_program(bytes(damaged)).system == "Linux"
        offered(bytes(damaged))


@pytest.mark.parametrize(
    "needs, own, doubt",
    [
        (
            {"GLIBCXX": (3, 4, 99)},
            None,
            "fast.so needs GLIBCXX_3.4.99, and libstdc++ has 3.4.30: add libstdcxx-ng to it",
        ),
        ({"GLIBCXX": (3, 4, 99)}, (3, 4, 99), None),
        ({"GLIBCXX": (3, 4, 30)}, None, None),
        ({"GLIBC": (2, 99)}, None, "fast.so needs glibc 2.99, and this machine has 2.36"),
    ],
    ids=["a newer C++ library", "the environment brings it", "an older one", "a newer C library"],
)
def test_what_a_library_needs_is_compared_with_what_it_will_find(monkeypatch, needs, own, doubt):
    monkeypatch.setattr(machine, "glibc", lambda: (2, 36))
    monkeypatch.setattr(machine, "_cxx_here", lambda: (3, 4, 30))
    assert [*machine.doubts("fast.so", Program("Linux", needs=needs), own)] == ([] if doubt is None else [doubt])
