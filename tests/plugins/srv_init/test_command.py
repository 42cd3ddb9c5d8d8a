import subprocess

import pytest

from srv.cli import run
from srv_init.kinds import SCAFFOLDS


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to stand in, and no git user but the test's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", str(tmp_path / "none"))
    return tmp_path


@pytest.mark.parametrize("kind", SCAFFOLDS)
def test_a_scaffold_says_what_to_do_next(here, capsys, kind):
    assert run(["init", kind, "acme"]) == 0

    said = capsys.readouterr().out
    folder = "acme-models" if kind == "model" else "srv-acme"
    assert said.startswith(f"Wrote {folder} with the ")
    assert f"  cd {folder}\n" in said
    request = said[said.index(" -d @") + 5 :].split()[0]
    assert (here / folder / request).is_file()


def test_the_folder_may_be_chosen(here, capsys):
    assert run(["init", "runtime", "acme", "--dir", "packages/mine"]) == 0
    assert (here / "packages/mine/pyproject.toml").is_file()
    assert "  cd packages/mine\n" in capsys.readouterr().out


def test_this_folder_needs_no_change_of_folder(here, capsys):
    assert run(["init", "model", "flats", "--dir", "."]) == 0
    assert (here / "flats/models.py").is_file()
    assert "cd " not in capsys.readouterr().out


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["runtime", "Acme"], "Nothing can be called 'Acme' here"),
        (["codec", "np"], "The content type 'np' is srv's own."),
        (["runtime", "acme", "--email", "ada"], "--email 'ada' is not an address such as 'ada@example.org'."),
        (["runtime", "acme", "--author", "Ada\nLovelace"], "--author 'Ada"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_nothing_is_written(here, capsys, words, sentence):
    assert run(["init", *words]) == 1
    assert capsys.readouterr().err.startswith(sentence)
    assert list(here.iterdir()) == []


def test_a_second_time_is_refused(here, capsys):
    run(["init", "runtime", "acme"])
    assert run(["init", "runtime", "acme"]) == 1
    assert capsys.readouterr().err.startswith("'srv-acme' is not empty")


def test_an_unknown_kind_is_wrong_usage(here, capsys):
    assert run(["init", "model-server", "acme"]) == 2
    assert "runtime" in capsys.readouterr().err


def test_the_author_is_gits_unless_options_say_otherwise(here):
    for key, value in (("user.name", "Ada Lovelace"), ("user.email", "ada@example.org")):
        subprocess.run(["git", "config", "--global", key, value], check=True)
    run(["init", "runtime", "acme"])
    run(["init", "codec", "money", "--author", "Grace"])
    assert 'authors = [{ name = "Ada Lovelace", email = "ada@example.org" }]' in project(here / "srv-acme")
    assert 'authors = [{ name = "Grace", email = "ada@example.org" }]' in project(here / "srv-money")


def test_without_git_there_is_no_author(here, monkeypatch):
    monkeypatch.setenv("PATH", str(here))
    assert run(["init", "runtime", "acme"]) == 0
    assert "authors" not in project(here / "srv-acme")


def test_an_address_of_gits_that_metadata_cannot_hold_is_left_out(here):
    subprocess.run(["git", "config", "--global", "user.email", "ada at home"], check=True)
    run(["init", "runtime", "acme"])
    assert "authors" not in project(here / "srv-acme")


def test_the_command_is_in_the_help(capsys):
    run(["--help"])
    assert "init " in capsys.readouterr().out


def project(folder):
    return (folder / "pyproject.toml").read_text()
