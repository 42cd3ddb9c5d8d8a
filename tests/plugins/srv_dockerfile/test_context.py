"""The folder that a builder gets."""

import os
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from srv.errors import SrvError
from srv.images import ImagePlan
from srv_dockerfile.context import prepared
from srv_dockerfile.dockerignore import Ignore
from srv_dockerfile.files import travelling


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


@pytest.fixture
def open_to_all():
    """A folder that everybody may look into, as pytest's own are not."""
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@contextmanager
def as_somebody_else():
    """Take root's rights away, because root may read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("name", ["private", "data/x"], ids=["a folder", "a file"])
def test_what_cannot_be_read_is_named_unless_it_stays_out(open_to_all, name):
    for below in ("private", "data"):
        (open_to_all / below).mkdir()
        (open_to_all / below / "x").touch()
    (open_to_all / name).chmod(0)

    with as_somebody_else():
        with pytest.raises(SrvError) as refused:
            list(travelling(open_to_all, Ignore([])))
        names = [entry.name for entry in travelling(open_to_all, Ignore([name]))]
    (open_to_all / name).chmod(0o700)

    assert str(refused.value) == (
        f"'{name}' cannot be read (Permission denied), so the image would not have it. Change its rights, or leave it out with "
        "a line in .dockerignore."
    )
    assert names == [at for at in ("data", "data/x", "private", "private/x") if not at.startswith(name)]
