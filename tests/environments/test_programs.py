import os
import random
from pathlib import Path

import pytest
from packing import BASE

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
