"""The folder of the cache: the chosen one, the user's, or one among temporary files that is nobody else's."""

import pytest

from srv.fetching import folders
from srv.fetching.errors import CacheUnusable
from srv.fetching.folders import cache_folder, fault_of


def test_a_chosen_folder_is_made_for_this_user_alone(tmp_path):
    assert cache_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_a_chosen_folder_that_cannot_be_made_is_named_with_the_setting(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(
        CacheUnusable, match=r"file/cache cannot be used: Not a directory\. Name another one with cache_dir"
    ):
        cache_folder(tmp_path / "file" / "cache")


def test_a_folder_that_could_not_be_made_is_known_without_making_it(tmp_path):
    (tmp_path / "file").touch()

    assert fault_of(tmp_path / "a" / "b") is None
    assert fault_of(tmp_path / "file" / "b") == f"{tmp_path / 'file'} is not a folder"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_without_a_choice_it_is_in_the_users_cache(tmp_path):
    home = {"HOME": str(tmp_path / "home")}

    assert cache_folder(None, {**home, "XDG_CACHE_HOME": str(tmp_path / "caches")}) == tmp_path / "caches" / "srv"
    assert cache_folder(None, home) == tmp_path / "home" / ".cache" / "srv"


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(folders.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(folders.os, "geteuid", lambda: tmp_path.stat().st_uid)
    return tmp_path / f"srv-cache-{tmp_path.stat().st_uid}"


def test_where_the_home_cannot_be_written_it_is_among_temporary_files(temporary):
    assert cache_folder(None, {"HOME": "/proc/nowhere"}) == temporary
    assert cache_folder(None, {}) == temporary


def test_a_temporary_folder_that_others_may_write_or_that_is_a_link_is_refused(temporary, tmp_path):
    temporary.mkdir()
    temporary.chmod(0o777)
    with pytest.raises(CacheUnusable, match="others may write there"):
        cache_folder(None, {})
    temporary.rmdir()
    (tmp_path / "elsewhere").mkdir()
    temporary.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CacheUnusable, match="another user's"):
        cache_folder(None, {})
