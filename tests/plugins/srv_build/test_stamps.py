"""Labels that a build gives: revision and time."""

import shutil
import subprocess

import pytest

from srv_build.stamps import CREATED, REVISION, revision_of, stamps

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture
def repository(tmp_path):
    """A repository with a folder in it that is committed."""
    folder = tmp_path / "repository/scale"
    folder.mkdir(parents=True)
    (folder / "models.py").write_text("")
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "All"]):
        subprocess.run(
            ["git", "-c", "user.name=Someone", "-c", "user.email=someone@example.org", *words],
            cwd=folder.parent,
            check=True,
        )
    return folder


@needs_git
def test_the_revision_is_the_commit(repository):
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=repository, capture_output=True, text=True, check=True)
    assert revision_of(repository) == head.stdout.strip()


@needs_git
def test_a_change_in_the_folder_is_told_and_one_beside_it_is_not(repository):
    (repository.parent / "beside.txt").write_text("")
    assert not revision_of(repository).endswith("-dirty")
    (repository / "new.py").write_text("")
    assert revision_of(repository).endswith("-dirty")


@needs_git
def test_a_folder_that_git_does_not_know_has_no_revision(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert stamps(tmp_path, None) == {}


def test_without_git_there_is_no_revision(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert REVISION not in stamps(tmp_path, None)


def test_the_time_is_the_one_that_was_told(tmp_path):
    assert stamps(tmp_path, 1700000000)[CREATED] == "2023-11-14T22:13:20Z"
