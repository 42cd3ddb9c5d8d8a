"""The folder that a builder gets."""

import os
import sys
from pathlib import Path

import pytest

from srv.images import ImagePlan
from srv_dockerfile.context import prepared


@pytest.fixture
def context(tmp_path):
    """The names in the context that is prepared of these files, each with what is in it."""

    def make(files, ignore=(), wheels=()):
        folder = tmp_path / 'ein "Ordner" für $alles'
        folder.mkdir()
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content)
        with prepared(ImagePlan(folder, "x", ignore=list(ignore), wheels=list(wheels)), "FROM scratch\n") as made:
            found = {path.relative_to(made).as_posix(): path.read_text() for path in made.rglob("*") if path.is_file()}
        assert not made.exists()
        return found

    return make


OURS = {"Dockerfile": "FROM scratch\n", ".dockerignore": "Dockerfile\n.dockerignore\n"}


def test_it_holds_what_is_not_left_out_and_the_dockerfile(context):
    files = {"models.py": "1", "data/big": "2", "data/keep": "3", "größe 'x'": "4", ".git/config": "5"}

    assert (
        context(files, [".git", "data/*", "!data/keep"])
        == {"models.py": "1", "data/keep": "3", "größe 'x'": "4"} | OURS
    )


def test_the_user_s_own_dockerfile_and_ignore_file_stay_as_they_are(context, tmp_path):
    assert context({"Dockerfile": "mine", ".dockerignore": "mine", "a": ""}) == {"a": ""} | OURS

    (folder,) = [path for path in tmp_path.iterdir() if path.is_dir()]
    assert (folder / "Dockerfile").read_text() == "mine"
    assert (folder / ".dockerignore").read_text() == "mine"


def test_wheels_of_the_plan_take_the_place_of_what_lay_there(context, tmp_path):
    wheel = tmp_path / "new.whl"
    wheel.write_text("new")

    assert context({".srv/wheels/old.whl": "old"}, wheels=[wheel]) == {".srv/wheels/new.whl": "new"} | OURS


def test_what_is_left_out_is_neither_copied_nor_linked(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    with (folder / "big").open("wb") as file:
        file.truncate(2 << 30)

    with prepared(ImagePlan(folder, "x", ignore=["big"]), "") as made:
        assert sorted(path.name for path in made.iterdir()) == [".dockerignore", "Dockerfile"]
        assert (folder / "big").stat().st_nlink == 1


def test_links_within_the_folder_stay_links_and_empty_folders_come_along(tmp_path):
    folder = tmp_path / "models"
    (folder / "empty").mkdir(parents=True)
    (folder / "a").write_text("1")
    (folder / "link").symlink_to("a")
    os.mkfifo(folder / "pipe")

    with prepared(ImagePlan(folder, "x"), "") as made:
        assert (made / "empty").is_dir()
        assert (made / "link").readlink() == Path("a")
        assert not (made / "pipe").exists()


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems take no such name")
def test_a_name_that_is_no_text_travels_too(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    name = os.fsdecode(b"caf\xe9")
    (folder / name).write_text("1")

    with prepared(ImagePlan(folder, "x", ignore=["*.pyc"]), "") as made:
        assert (made / name).read_text() == "1"
