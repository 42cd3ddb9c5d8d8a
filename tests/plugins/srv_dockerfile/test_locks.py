"""Locks as real tools write them, and the requirements that pip gets of each.

The files in `environments` were written by uv 0.13, Poetry 2.5 and pipenv 2026.10, for one project and one index.
"""

import re
import shutil
from pathlib import Path

import pytest
from distributions import PUBLIC_INDEX
from packaging.requirements import Requirement

from srv.errors import SrvError
from srv_dockerfile.environment.constraints import python_marker, specifier
from srv_dockerfile.environment.platforms import Grid, Platform
from srv_dockerfile.environment.project import read_project
from srv_dockerfile.environment.reading import read_environment

MADE = Path(__file__).parent / "environments"
PYTHONS = [(11, 2), (11, 9), (12, 1), (13, 0), (15, 2)]
TOOLS = ["uv", "poetry", "pipenv", "pylock"]


@pytest.fixture
def read(tmp_path):
    """The lock of one of the folders, with the changes of its text."""

    def make(tool, *changes, without=()):
        folder = tmp_path / tool
        shutil.copytree(MADE / tool, folder)
        for path in folder.iterdir():
            text = path.read_text()
            for old, new in changes:
                text = text.replace(old, new)
            path.write_text(text)
            if path.name in without:
                path.unlink()
        return read_environment(folder, read_project(folder)).lock

    return make


def chosen(text, python, machine):
    """What pip takes of a requirements file on a Linux machine, as text."""
    text = re.sub(r" \\\n\s+--hash=\S+", "", text)
    environment = Platform(python, machine).environment()
    found = set()
    for line in text.splitlines():
        if line and not line.startswith(("#", "-", "./")):
            said = Requirement(line)
            if said.marker is None or said.marker.evaluate(environment):
                found.add(f"{said.name}{said.specifier}{said.url or ''}")
    return found


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("python", PYTHONS, ids=lambda python: f"3.{python[0]}.{python[1]}")
def test_uv_lock_is_for_each_python_and_machine_what_uv_itself_exports(read, python, machine):
    lock = read("uv")
    exported = (MADE / "uv/uv-export.txt").read_text()

    assert chosen(lock.text("") + "\n".join(lock.rest()), python, machine) == chosen(exported, python, machine)


def test_hashes_are_all_those_that_uv_exports(read):
    exported = (MADE / "uv/uv-export.txt").read_text()

    hashes = set(re.findall(r"--hash=(\S+)", read("uv").text("")))

    assert hashes
    assert set(re.findall(r"--hash=(\S+)", exported)) - hashes == set(
        re.findall(r"pyreadline3.*\\\n\s+--hash=(\S+)", exported)
    )


@pytest.mark.parametrize("tool", TOOLS)
def test_a_lock_brings_what_production_needs_on_linux_and_nothing_else(read, tool):
    names = {package.name for package in read(tool).packages}

    assert {"colorama", "httpx", "h2", "tomli", "tables", "six"} <= names
    assert not names & {"iniconfig", "pyreadline3", "scoring", "pytest"}


@pytest.mark.parametrize("tool", TOOLS)
def test_what_has_no_hash_is_installed_in_a_run_of_its_own(read, tool):
    lock = read(tool)
    git = [line for line in lock.rest() if line.startswith("tables @ ")]

    assert re.fullmatch(r"tables @ git\+https://git\.example/acme/tables@[0-9a-f]{40}", git[0])
    assert [line for line in lock.rest() if line not in git] == ([] if tool == "pipenv" else ["./libs/units"])
    assert "git+" not in lock.text("")


@pytest.mark.parametrize("tool", TOOLS)
def test_the_index_of_the_lock_comes_along_and_the_public_one_is_left_to_pip(read, tool, tmp_path):
    assert "\n--index-url https://index.example/simple\n" in read(tool).text("")

    shutil.rmtree(tmp_path / tool)
    public = read(tool, ("https://index.example/simple", PUBLIC_INDEX)).text("")

    assert [line for line in public.splitlines() if line.startswith("--")] == []


def test_a_second_index_is_one_more(read):
    lock = read(
        "uv",
        (
            'name = "six"\nversion = "1.17.0"\nsource = { registry = "https://index',
            'name = "six"\nversion = "1.17.0"\nsource = { registry = "https://other',
        ),
    )

    options = [line for line in lock.text("").splitlines() if line.startswith("--")]

    assert options == ["--index-url https://index.example/simple", "--extra-index-url https://other.example/simple"]


def test_the_same_lock_gives_the_same_text(read, tmp_path):
    first = read("poetry").text("")
    shutil.rmtree(tmp_path / "poetry")

    assert read("poetry").text("") == first


def test_a_lock_of_poetry_1_is_walked_from_the_project(read, tmp_path):
    first = read("poetry")
    shutil.rmtree(tmp_path / "poetry")
    text = (MADE / "poetry/poetry.lock").read_text()
    lines = re.findall(r"^(?:groups|markers) = .*\n", text, re.MULTILINE)

    walked = read("poetry", *[(line, "") for line in lines])

    for python in PYTHONS:
        assert chosen(walked.text(""), python, "x86_64") == chosen(first.text(""), python, "x86_64")
    assert walked.rest() == first.rest()


@pytest.mark.parametrize(
    "tool, change, note",
    [
        (
            "uv",
            ('"colorama>=0.4"', '"colorama>=0.4.5"'),
            "uv.lock does not fit pyproject.toml, which has colorama otherwise.",
        ),
        ("uv", ('"httpx[http2]"', '"httpx[http2]", "flask"'), "which has flask otherwise"),
        (
            "poetry",
            ('colorama = "^0.4"', 'colorama = "^0.4.5"'),
            "poetry.lock does not fit pyproject.toml. The image gets",
        ),
    ],
    ids=["another version", "a new one", "poetry"],
)
def test_a_lock_that_is_older_than_its_project_is_told(read, tmp_path, tool, change, note):
    assert read(tool).notes == []

    shutil.rmtree(tmp_path / tool)
    (said,) = read(tool, change).notes

    assert note in said
    assert said.endswith(f"run '{tool} lock' to renew it.")


@pytest.mark.parametrize(
    "file, text, why",
    [
        ("uv.lock", "[", "uv.lock cannot be read as a lock: "),
        ("uv.lock", "version = 1", "uv.lock cannot be read as a lock: it has no packages"),
        (
            "uv.lock",
            "[[package]]\nname = 'a'\nsource = { registry = 'x' }",
            "none of its packages is the project of this folder",
        ),
        ("poetry.lock", "[[package]]\nversion = '1'\ngroups = ['main']", "it is not as such a file is written"),
        ("poetry.lock", "[[package]]\nname = 'a'\nversion = '1'", "there is no pyproject.toml. Put that beside it"),
        ("pylock.toml", "packages = 3", "it has no packages"),
        ("Pipfile.lock", "{]", "Pipfile.lock cannot be read as a lock: "),
        ("Pipfile.lock", '{"default": {"six": {"version": "*"}}}', "six has no version"),
    ],
)
def test_what_is_no_lock_is_a_sentence(tmp_path, file, text, why):
    (tmp_path / file).write_text(text)

    with pytest.raises(SrvError) as error:
        read_environment(tmp_path, None)

    assert why in str(error.value)


def test_a_member_of_a_workspace_has_the_lock_that_lies_above(tmp_path):
    member, lock = tmp_path / "services/scoring", (MADE / "uv/uv.lock").read_text()
    member.mkdir(parents=True)
    shutil.copy(MADE / "uv/pyproject.toml", member)
    (tmp_path / "uv.lock").write_text(lock.replace('editable = "."', 'editable = "services/scoring"'))

    made = read_environment(member, read_project(member))

    assert made.file == "../../uv.lock"
    assert chosen(made.lock.text(""), (13, 0), "x86_64") == chosen(
        read_environment(MADE / "uv", None).lock.text(""), (13, 0), "x86_64"
    )
    assert "../../libs/units" in [package.source for package in made.lock.packages]
    assert made.lock.notes == []


# -- pyproject.toml without a lock ------------------------------------------------------------------------------------


def lines_of(folder, text):
    (folder / "pyproject.toml").write_text(text)
    return read_environment(folder, read_project(folder)).lock


def test_a_project_without_a_lock_is_its_dependencies_from_where_uv_has_them(tmp_path):
    lock = lines_of(
        tmp_path,
        """
[project]
dependencies = ["numpy>=2,<3", "units[fast]; python_version < '3.13'", "tables", "torch"]
[tool.uv.sources]
units = { path = "libs/units" }
tables = { git = "git@git.example:acme/tables.git", tag = "v1", subdirectory = "py" }
torch = { index = "cpu" }
[[tool.uv.index]]
name = "cpu"
url = "https://wheels.example/cpu"
explicit = true
""",
    )

    assert lock.text("x").splitlines() == [
        "# x",
        "--extra-index-url https://wheels.example/cpu",
        "numpy<3,>=2",
        './libs/units[fast] ; python_version < "3.13"',
        "tables @ git+ssh://git@git.example/acme/tables.git@v1#subdirectory=py",
        "torch",
    ]
    assert lock.notes == ["pyproject.toml has no lock, so each build takes the newest versions that it allows."]


def test_a_project_of_poetry_is_said_in_pip_s_words(tmp_path):
    lock = lines_of(
        tmp_path,
        """
[tool.poetry.dependencies]
python = ">=3.11,<3.14"
numpy = "^2.1"
httpx = { version = "~0.27", extras = ["http2"] }
tomli = { version = "*", python = "<3.12" }
plot = { version = "*", optional = true }
units = { path = "libs/units" }
[[tool.poetry.source]]
name = "house"
url = "https://index.example/simple"
priority = "supplemental"
""",
    )

    assert lock.text("x").splitlines()[1:] == [
        "--extra-index-url https://index.example/simple",
        "numpy>=2.1,<3.0",
        "httpx[http2]>=0.27,<0.28",
        "tomli ; python_full_version < '3.12'",
        "./libs/units",
    ]
    assert lock.requires_python == ">=3.11,<3.14"


@pytest.mark.parametrize(
    "said, means",
    [
        ("^1.2.3", ">=1.2.3,<2.0"),
        ("^0.2.3", ">=0.2.3,<0.3"),
        ("^0.0.3", ">=0.0.3,<0.0.4"),
        ("^0", ">=0,<1.0"),
        ("^0.0", ">=0.0,<0.1"),
        ("~1.2.3", ">=1.2.3,<1.3"),
        ("~1", ">=1,<2.0"),
        ("~=1.4", "~=1.4"),
        ("1.2.*", "==1.2.*"),
        ("1.2", "==1.2"),
        ("*", ""),
        (">=1, <2", ">=1,<2"),
        (">=1 <2", ">=1,<2"),
        ("!=1.5,^1.2", "!=1.5,>=1.2,<2.0"),
    ],
)
def test_a_constraint_of_poetry_means_the_same_in_pip_s_words(said, means):
    assert specifier(said) == means


@pytest.mark.parametrize("said", ["^1 || ^2", "nonsense"])
def test_a_constraint_without_words_of_pip_s_is_refused(said):
    with pytest.raises(SrvError, match="pip has no words for the version"):
        specifier(said)


def test_a_choice_of_pythons_is_a_marker():
    assert python_marker("~3.11 || >=3.13") == (
        "python_full_version >= '3.11' and python_full_version < '3.12' or python_full_version >= '3.13'"
    )


@pytest.mark.parametrize(
    "marker, written",
    [
        ("", ""),
        ("sys_platform == 'linux'", ""),
        ("python_version >= '3.9'", ""),
        ("python_version < '3.13'", "python_version < '3.13'"),
        ("python_full_version >= '3.11.3' and python_version != '3.13'", "python_full_version >= '3.11.3' and python_version < '3.13' or python_version >= '3.14'"),
        ("platform_machine == 'x86_64'", "platform_machine == 'x86_64'"),
        ("platform_machine == 'aarch64' or python_version < '3.12'", "python_version < '3.12' and platform_machine == 'x86_64' or platform_machine == 'aarch64'"),
    ],
)  # fmt: skip
def test_a_marker_keeps_only_what_linux_leaves_open(marker, written):
    grid = Grid(marker)

    assert grid.marker(grid.where(marker)) == written


def test_a_marker_that_nothing_fulfils_on_linux_holds_nowhere():
    assert Grid("").where("sys_platform == 'win32' or extra == 'plot'") == frozenset()
