"""What setup.cfg requires: lower bounds that CI installs, and upper bounds where private parts of a package are used."""

import configparser
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

TOP = Path(__file__).parents[1]
FILES = [TOP / "setup.cfg", *sorted(TOP.glob("contrib/*/setup.cfg"))]
LOWEST = TOP / ".ci/constraints-lowest.txt"
OURS = "srv-inference"


def requirements(file: Path) -> list[Requirement]:
    """What a package requires, alone and with its extras for users and for tests, not those of srv's own developers."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(file)
    extras = parser["options.extras_require"]
    texts = [parser["options"]["install_requires"], *(text for extra, text in extras.items() if extra != "dev")]
    lines = chain.from_iterable(text.strip().splitlines() for text in texts)
    return [Requirement(line) for line in lines if not line.startswith("%")]


def bound(requirement: Requirement, operator: str) -> Version | None:
    return next((Version(each.version) for each in requirement.specifier if each.operator == operator), None)


EACH = [(file, requirement) for file in FILES for requirement in requirements(file)]


@pytest.mark.parametrize("file, requirement", EACH, ids=lambda value: str(getattr(value, "name", value)))
def test_every_requirement_says_from_which_version_on(file, requirement):
    assert bound(requirement, ">=") is not None


def test_ci_installs_the_lowest_version_that_each_requirement_admits():
    lowest = {}
    for _, requirement in EACH:
        name, version = canonicalize_name(requirement.name), bound(requirement, ">=")
        if name != OURS:
            lowest[name] = max(version, lowest.get(name, version))
    lines = [Requirement(line) for line in LOWEST.read_text().splitlines() if line and not line.startswith("#")]
    assert {canonicalize_name(line.name): bound(line, "==") for line in lines} == lowest


@pytest.mark.parametrize("name", ["gunicorn", "grpcio"])
def test_a_package_whose_private_parts_are_used_has_an_upper_bound(name):
    [requirement] = [each for file, each in EACH if file == TOP / "setup.cfg" and each.name == name]
    assert bound(requirement, "<") is not None
