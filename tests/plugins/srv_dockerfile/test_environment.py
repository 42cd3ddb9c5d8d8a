"""Which files of a folder make the environment, what of them the plan has, and what is told."""

import shutil
import sys
import zipfile
from pathlib import Path

import pytest
from distributions import PUBLIC_INDEX

from srv.errors import SrvError
from srv_dockerfile.context import prepared
from srv_dockerfile.rendering import render

MADE = Path(__file__).parent / "environments"
HERE = sys.version_info.minor
PROJECT = '[project]\nname = "scoring"\nversion = "1"\ndependencies = ["colorama"]\n'
GENERATED = ".srv/requirements.txt"


@pytest.fixture
def locked(plan, folder):
    """The plan of a folder with one of the locks, and with what its path dependencies name."""

    def make(tool, files=None):
        shutil.copytree(MADE / tool, folder, dirs_exist_ok=True)
        return plan({"libs/units/pyproject.toml": '[project]\nname = "units"\nversion = "1"\n', **(files or {})})

    return make


@pytest.mark.parametrize(
    "tool, file", [("uv", "uv.lock"), ("poetry", "poetry.lock"), ("pipenv", "Pipfile.lock"), ("pylock", "pylock.toml")]
)
def test_a_lock_becomes_requirements_with_hashes_that_travel_with_the_folder(locked, tool, file):
    made = locked(tool)

    text = made.generated[GENERATED]
    assert text.startswith(
        f"# Made by srv of {file}; change that, and make this anew.\n--index-url https://index.example"
    )
    assert "colorama==0.4.6 \\\n    --hash=sha256:" in text
    assert made.requirements_files == [GENERATED]
    assert made.hashed
    assert {"colorama", "httpx", "tables"} <= made.named
    assert [line for line in made.requirements if line.startswith("tables @ git+https://git.example/acme/tables@")]
    assert made.requirements_needs == ([] if tool == "pipenv" else ["libs/units"])


def test_the_builder_gets_what_was_generated_and_not_what_lay_there(locked, folder):
    (folder / ".srv").mkdir()
    (folder / GENERATED).write_text("of before")
    made = locked("uv")

    with prepared(made, "FROM scratch\n") as context:
        assert (context / GENERATED).read_text() == made.generated[GENERATED]


def test_a_project_without_a_lock_is_the_environment_and_that_nothing_is_pinned_is_told(plan):
    made = plan({"pyproject.toml": PROJECT})

    assert made.generated[GENERATED].splitlines()[1:] == ["colorama"]
    assert not made.hashed
    assert made.notes == ["pyproject.toml has no lock, so each build takes the newest versions that it allows."]


def test_a_package_that_lies_outside_of_the_folder_travels_as_a_wheel(plan, folder, tmp_path):
    (tmp_path / "units-1.0-py3-none-any.whl").write_text("a wheel")
    lock = (
        (MADE / "uv/uv.lock").read_text().replace('editable = "libs/units"', 'path = "../units-1.0-py3-none-any.whl"')
    )

    made = plan({"uv.lock": lock})

    assert [wheel.name for wheel in made.wheels] == ["units-1.0-py3-none-any.whl"]
    assert "units==1.0" in made.requirements


@pytest.mark.parametrize(
    "files, used, notes",
    [
        (
            {"requirements.txt": "six", "pyproject.toml": PROJECT, "poetry.lock": ""},
            "requirements.txt",
            [
                "poetry.lock is not used, because requirements.txt says what the environment is.",
                "pyproject.toml is not used, because requirements.txt says what the environment is.",
            ],
        ),
        (
            {"environment.yml": "dependencies: [pip]", "uv.lock": ""},
            "environment.yml",
            ["uv.lock is not used, because environment.yml says what the environment is."],
        ),
        (
            {"Pipfile.lock": '{"default": {}}', "pylock.toml": "packages = []"},
            GENERATED,
            ["Pipfile.lock is not used, because pylock.toml says what the environment is."],
        ),
        ({"Pipfile": ""}, None, ["Pipfile is not used, because srv does not read it: run 'pipenv lock'."]),
        (
            {"setup.py": "", "environment.dev.yml": "", "requirements-dev.txt": ""},
            None,
            [
                "setup.py is not used, because srv does not read it: name what it needs in a requirements.txt or a pyproject.toml.",
                "environment.dev.yml is not used, because srv reads environment.yaml: name it so, or make a environment.yaml that includes it.",
                "requirements-dev.txt is not used, because srv reads requirements.txt: name it so, or make a requirements.txt that includes it.",
            ],
        ),
        ({"pyproject.toml": "[tool.ruff]\n", "requirements.txt": ""}, "requirements.txt", []),
    ],
    ids=["requirements", "conda", "two locks", "Pipfile", "others", "no dependencies"],
)  # fmt: skip
def test_one_file_makes_the_environment_and_the_others_are_told(plan, files, used, notes):
    made = plan(files)

    assert [*([made.conda_file] if made.conda_file else []), *made.requirements_files] == ([used] if used else [])
    assert made.notes == notes


# -- the project itself -----------------------------------------------------------------------------------------------

PACKAGE = PROJECT + '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'


def unpacked(wheel):
    with zipfile.ZipFile(wheel) as packed:
        return {name: packed.read(name).decode() for name in packed.namelist()}


def test_a_project_that_is_a_package_is_one_in_the_image_with_its_code_in_the_folder(plan, tmp_path):
    points = (
        '[project.entry-points."srv.runtimes"]\nscore = "scoring:Score"\n[project.scripts]\nscore = "scoring:main"\n'
    )

    made = plan({"pyproject.toml": PACKAGE + points, "src/scoring/__init__.py": "FACTOR = 6\n"})

    assert made.wheels[0].name == "scoring-1-py3-none-any.whl"
    assert "scoring==1" in made.requirements
    assert "scoring" in made.named
    files = unpacked(made.wheels[0])
    assert files["_scoring.pth"] == "/srv/app\n/srv/app/src\n"
    assert files["scoring-1.dist-info/entry_points.txt"] == (
        "[srv.runtimes]\nscore = scoring:Score\n[console_scripts]\nscore = scoring:main\n"
    )


def test_a_changed_line_of_the_project_leaves_its_wheel_as_it_is(plan):
    before = plan({"pyproject.toml": PACKAGE, "src/scoring/__init__.py": "1"}).wheels[0].read_bytes()

    assert plan({"src/scoring/__init__.py": "2"}).wheels[0].read_bytes() == before


@pytest.mark.parametrize(
    "text, places",
    [
        ('[tool.setuptools.packages.find]\nwhere = ["lib"]\n', ["/srv/app", "/srv/app/lib"]),
        ('[tool.setuptools.package-dir]\n"" = "lib"\n', ["/srv/app", "/srv/app/lib"]),
        ('[tool.hatch.build.targets.wheel]\npackages = ["lib/scoring"]\n', ["/srv/app", "/srv/app/lib"]),
        ('[tool.poetry]\npackages = [{ include = "scoring", from = "lib" }]\n', ["/srv/app", "/srv/app/lib"]),
        ("", ["/srv/app"]),
    ],
    ids=["find", "package-dir", "hatch", "poetry", "flat"],
)
def test_its_code_is_found_where_the_project_says_that_it_lies(plan, text, places):
    made = plan({"pyproject.toml": PACKAGE + text, "lib/scoring/__init__.py": ""})

    assert unpacked(made.wheels[0])["_scoring.pth"].split() == places


@pytest.mark.parametrize(
    "text", [PROJECT, PACKAGE + "[tool.uv]\npackage = false\n", PACKAGE.replace('name = "scoring"\n', "")]
)
def test_a_project_that_is_no_package_is_none_in_the_image(plan, text):
    assert plan({"pyproject.toml": text}).wheels == []


# -- Python -----------------------------------------------------------------------------------------------------------


def test_a_python_that_the_project_excludes_is_not_taken(plan):
    made = plan({"pyproject.toml": PROJECT + f'requires-python = ">=3.{HERE + 1}"\n', "requirements.txt": ""})

    assert made.base_image == f"python:3.{HERE + 1}-slim"


@pytest.mark.parametrize("file, text", [(".python-version", "3.{}.4\n"), ("runtime.txt", "python-3.{}.4")])
def test_a_file_that_names_a_python_chooses_it(plan, file, text):
    made = plan({file: text.format(HERE + 1)})

    assert made.base_image == f"python:3.{HERE + 1}-slim"
    assert made.notes == [f"The image starts from Python 3.{HERE + 1}, because {file} names it; here runs 3.{HERE}."]
    assert plan({file: text.format(HERE)}).notes == []


def test_a_project_for_pythons_that_srv_does_not_run_on_is_refused(plan):
    with pytest.raises(SrvError, match=r"pyproject\.toml asks for Python '<3\.11', and srv needs 3\.11 or newer"):
        plan({"pyproject.toml": PROJECT + 'requires-python = "<3.11"\n'})


# -- apt.txt ----------------------------------------------------------------------------------------------------------


def test_apt_txt_names_packages_of_the_image(plan):
    made = plan(
        {"apt.txt": "# for audio\nlibsndfile1\nffmpeg=7:5.1.6-0+deb12u1  # pinned\n\nlibgomp1:amd64\nlibsndfile1\n"}
    )

    assert made.system_packages == ["libsndfile1", "ffmpeg=7:5.1.6-0+deb12u1", "libgomp1:amd64"]


@pytest.mark.parametrize("line", ["two names", "-o=Dir::x", "libgomp1-", "Lib", "a;b", "libgomp1 >= 2", "$(id)"])
def test_a_line_of_apt_txt_that_is_no_package_is_a_sentence(plan, line):
    with pytest.raises(SrvError) as error:
        plan({"apt.txt": f"libgomp1\n{line}\n"})

    assert str(error.value).startswith(f"apt.txt has the line '{line}', which is no package of Debian's.")


# -- passwords --------------------------------------------------------------------------------------------------------

PASSWORDS = {
    "requirements": ("requirements.txt", "--index-url https://anna:hush@index.example/simple\n"),
    "a token": ("requirements.txt", "thing @ git+https://ghp_abcdef@git.example/a/b@v1\n"),
    "a comment": ("requirements.txt", "# --index-url https://anna:hush@index.example/simple\n"),
    "a project": ("pyproject.toml", PROJECT + '[[tool.uv.index]]\nurl = "https://anna:hush@index.example/simple"\n'),
    "a lock": ("pylock.toml", 'packages = [{name = "a", index = "https://anna:hush@index.example/simple"}]\n'),
    "conda": ("environment.yml", "channels: [https://anna:hush@conda.example]\ndependencies: [pip]\n"),
}


@pytest.mark.parametrize("file, text", PASSWORDS.values(), ids=PASSWORDS)
def test_a_password_in_an_address_is_refused_and_not_repeated(plan, file, text):
    with pytest.raises(SrvError) as error:
        plan({file: text})

    assert str(error.value).startswith(f"{file} has a password in the address '")
    assert "hush" not in str(error.value)
    assert "ghp_" not in str(error.value)
    assert "--secret id=netrc,src=$HOME/.netrc" in str(error.value)


def test_a_variable_in_place_of_a_password_is_fine_and_told_until_it_is_given(plan):
    files = {
        "requirements.txt": "--index-url https://anna:${TOKEN}@index.example/simple\nx @ git+ssh://git@a.example/b\n"
    }

    told = [note for note in plan(files).notes if "TOKEN" in note]
    assert told == [
        "requirements.txt has ${TOKEN}, which pip takes from a variable of the build: --secret id=TOKEN,env=TOKEN."
    ]
    assert [note for note in plan(files, secrets=["TOKEN"]).notes if "TOKEN" in note] == []


def test_an_index_of_the_lock_is_for_pip_because_uv_would_prefer_the_machine_s(locked):
    text = render(locked("uv"))

    assert "COPY .srv/requirements.txt ./.srv/" in text
    assert "# By pip: uv does not have --index-url" in text
    assert "--require-hashes -r .srv/requirements.txt" in " ".join(text.split()).replace("\\ ", "")
    assert "rm -rf .srv" in text


def test_a_member_of_a_workspace_is_made_of_the_lock_above_it_and_nothing_is_told(plan, folder):
    above = folder.parent / "uv.lock"
    above.write_text(
        'version = 1\n[[package]]\nname = "scoring"\nversion = "1"\nsource = { virtual = "scale" }\n'
        'dependencies = [{ name = "colorama" }]\n[package.metadata]\nrequires-dist = [{ name = "colorama" }]\n'
        f'[[package]]\nname = "colorama"\nversion = "0.4.6"\nsource = {{ registry = "{PUBLIC_INDEX}" }}\n'
    )

    made = plan({"pyproject.toml": PROJECT})

    assert made.generated[GENERATED].splitlines()[1:] == ["colorama==0.4.6"]
    assert made.notes == []
