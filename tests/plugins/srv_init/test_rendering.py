import ast
import json
import subprocess
import sys
import tomllib

import pytest

from srv.version import __version__
from srv_init.authors import Author
from srv_init.kinds import SCAFFOLDS
from srv_init.names import LONGEST, names_of
from srv_init.rendering import CannotWrite, FolderNotEmpty, render, srv_range, write

KINDS = list(SCAFFOLDS)
PACKAGES = [kind for kind, scaffold in SCAFFOLDS.items() if scaffold.brings]
ADA = Author("Ada", "ada@example.org")


def rendered(kind, name="acme", author=ADA):
    return render(SCAFFOLDS[kind], names_of(name, SCAFFOLDS[kind]), author)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["acme", "acme-2_x", "a" * LONGEST])
def test_each_file_is_what_its_ending_says(kind, name):
    readers = {"py": ast.parse, "json": json.loads, "toml": tomllib.loads}
    for path, text in rendered(kind, name).items():
        readers.get(path.rpartition(".")[2], str)(text)
        assert "{{" not in text or path.endswith(".yml")
        assert text == "" or (text.endswith("\n") and not text.endswith("\n\n")), path


@pytest.mark.parametrize("kind", KINDS)
def test_a_scaffold_is_formatted_and_has_nothing_to_mend(kind, tmp_path):
    write(rendered(kind), tmp_path)
    for check in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *check, "--no-cache", "."],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("kind", PACKAGES)
def test_a_package_has_all_that_a_release_needs(kind):
    assert set(rendered(kind)) > {
        ".github/workflows/release.yml",
        ".gitignore",
        "CHANGELOG.md",
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "settings.json",
        "src/srv_acme/__init__.py",
        "src/srv_acme/py.typed",
    }


@pytest.mark.parametrize("kind", PACKAGES)
def test_a_package_declares_which_srv_it_works_with(kind):
    project = tomllib.loads(rendered(kind)["pyproject.toml"])["project"]
    assert f"srv-inference{srv_range()}" in project["dependencies"]
    assert list(project["entry-points"]) == [SCAFFOLDS[kind].group]
    assert list(project["entry-points"][SCAFFOLDS[kind].group]) == ["acme"]


@pytest.mark.parametrize(
    "version, requirement",
    [
        ("0.1.0", ">=0.1,<0.2"),
        ("0.9.3", ">=0.9,<0.10"),
        ("1.4.2", ">=1.4,<2"),
        ("0.2.0.dev1", ">=0.2.0.dev1,<0.3"),
        ("1.0.0rc1", ">=1.0.0rc1,<2"),
    ],
)
def test_the_range_goes_to_the_next_release_that_may_break(version, requirement):
    assert srv_range(version) == requirement


def test_the_range_admits_the_srv_that_wrote_it():
    from packaging.specifiers import SpecifierSet

    assert SpecifierSet(srv_range()).contains(__version__, prereleases=True)


@pytest.mark.parametrize("kind", KINDS)
def test_no_name_is_left_over_from_a_template(kind):
    ours, theirs = rendered(kind, "acme"), rendered(kind, "zebra")
    for path, text in ours.items():
        assert theirs[path.replace("acme", "zebra")] == text.replace("acme", "zebra").replace("Acme", "Zebra")


@pytest.mark.parametrize(
    "author, authors",
    [
        (Author("Ada", "ada@example.org"), [{"name": "Ada", "email": "ada@example.org"}]),
        (Author('Ada "the Countess" \\ L', None), [{"name": 'Ada "the Countess" \\ L'}]),
        (Author(None, "ada@example.org"), [{"email": "ada@example.org"}]),
        (Author("Zoë 𝔏", None), [{"name": "Zoë 𝔏"}]),
        (Author(), None),
    ],
)
def test_the_author_is_whoever_it_is(author, authors):
    files = rendered("runtime", author=author)
    assert tomllib.loads(files["pyproject.toml"])["project"].get("authors") == authors
    assert (author.name or "the authors of srv-acme") in files["LICENSE"]


def test_a_fresh_repository_is_empty_enough(tmp_path):
    (tmp_path / ".git").mkdir()
    write({"a/b": "text\n"}, tmp_path)
    assert (tmp_path / "a/b").read_text() == "text\n"


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(FolderNotEmpty, match=r"is not empty: 'mine' is in it\. Nothing was written"):
        write({"yours": "yours"}, tmp_path)
    assert not (tmp_path / "yours").exists()


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CannotWrite, match=r"could not be written: (Not a directory|File exists)"):
        write({"a": "text"}, tmp_path / "file")
