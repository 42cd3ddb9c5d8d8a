"""What the watcher tells, look by look."""

import os
from itertools import count

import pytest

from srv.serve.reloading.files import Area, Watcher

_ages = count(1)


def write(path, text="x"):
    """Write a file that is surely another one than before, however coarse the clock of the file system is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, ns=(next(_ages), next(_ages)))
    return path


@pytest.fixture
def watcher(tmp_path):
    write(tmp_path / "models.py")
    write(tmp_path / "deep" / "er" / "data.bin")
    return Watcher([Area(tmp_path)])


def test_nothing_has_changed_where_nothing_has(watcher):
    assert watcher.look() == set()


def test_a_change_is_told_once_it_has_settled_and_then_no_more(watcher, tmp_path):
    path = write(tmp_path / "models.py")
    assert watcher.look() == set()
    assert watcher.look() == {path}
    assert watcher.look() == set()


def test_what_comes_and_what_goes_is_a_change(watcher, tmp_path):
    came, gone = write(tmp_path / "new.py"), tmp_path / "deep" / "er" / "data.bin"
    gone.unlink()
    watcher.look()
    assert watcher.look() == {came, gone}


def test_a_file_that_is_still_being_written_is_waited_for(watcher, tmp_path):
    other = write(tmp_path / "other.py")
    for _ in range(3):
        big = write(tmp_path / "big.bin")
        assert watcher.look() == set()
    assert watcher.look() == {other, big}


def test_a_file_that_never_comes_to_rest_does_not_hold_up_the_others(watcher, tmp_path):
    other = write(tmp_path / "other.py")
    told = set()
    for _ in range(20):
        write(tmp_path / "restless.csv")
        told |= watcher.look()
    assert told == {other}


def test_a_file_that_is_put_in_the_place_of_another_is_a_change(watcher, tmp_path):
    path = tmp_path / "models.py"
    status = path.stat()
    fresh = write(tmp_path / "models.py~")
    os.utime(fresh, ns=(status.st_atime_ns, status.st_mtime_ns))
    fresh.replace(path)
    watcher.look()
    assert watcher.look() == {path}


@pytest.mark.parametrize(
    "name",
    [
        ".git/index",
        ".models.py.swp",
        "__pycache__/models.cpython-311.pyc",
        "models.pyc",
        "models.py~",
        "requests.log",
        "node_modules/x.js",
        "venv/lib/x.py",
        "conda/x.py",
        "download.part",
    ],
)
def test_what_nobody_edits_is_not_looked_at(tmp_path, name):
    write(tmp_path / "venv" / "pyvenv.cfg")
    (tmp_path / "conda" / "conda-meta").mkdir(parents=True)
    watcher = Watcher([Area(tmp_path)])
    write(tmp_path / name)
    assert not watcher.look() | watcher.look()


def test_an_area_has_a_depth(tmp_path):
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    watcher = Watcher([Area(tmp_path, depth=2)])
    write(tmp_path / "a" / "b" / "c" / "x.py")
    near = write(tmp_path / "a" / "b" / "x.py")
    watcher.look()
    assert watcher.look() == {near}


def test_an_area_may_have_endings_and_may_be_a_file(tmp_path):
    alone = write(tmp_path / "alone.bin")
    watcher = Watcher([Area(tmp_path / "package", suffixes=(".py",)), Area(alone)])
    source = write(tmp_path / "package" / "x.py")
    for path in (tmp_path / "package" / "x.json", tmp_path / "beside.bin", alone):
        write(path)
    watcher.look()
    assert watcher.look() == {alone, source}


def test_links_are_followed_and_never_in_a_circle(tmp_path):
    outside = write(tmp_path / "outside" / "weights.bin")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").symlink_to(outside.parent)
    (folder / "again").symlink_to(folder)
    (folder / "nowhere").symlink_to(tmp_path / "nowhere")
    watcher = Watcher([Area(folder)])
    write(outside)
    watcher.look()
    assert watcher.look() == {folder / "weights" / "weights.bin"}


def test_a_new_area_is_taken_as_it_is_and_an_old_one_keeps_its_history(watcher, tmp_path):
    changed = write(tmp_path / "models.py")
    write(tmp_path.parent / f"{tmp_path.name}-more" / "x.py")
    watcher.watch([Area(tmp_path), Area(tmp_path.parent / f"{tmp_path.name}-more")])
    watcher.look()
    assert watcher.look() == {changed}


def test_what_a_load_writes_can_be_overlooked_but_not_what_somebody_edits_meanwhile(watcher, tmp_path):
    write(tmp_path / "deep" / "cache.bin")
    (tmp_path / "deep" / "er" / "data.bin").unlink()
    edited, beside = write(tmp_path / "deep" / "sibling.py"), write(tmp_path / "beside.bin")
    watcher.overlook(tmp_path / "deep", but=(".py",))
    watcher.look()
    assert watcher.look() == {edited, beside}


def test_a_folder_that_cannot_be_read_or_is_gone_is_empty(tmp_path):
    path = write(tmp_path / "models" / "x.py")
    watcher = Watcher([Area(tmp_path / "models"), Area(tmp_path / "nowhere")])
    path.unlink()
    path.parent.rmdir()
    watcher.look()
    assert watcher.look() == {path}
