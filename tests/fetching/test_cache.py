"""The cache: each version is downloaded once, whole or not at all, and what is used stays."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from servers import eventually
from web_server import web_server

from srv.fetching import transfer
from srv.fetching.cache import Cache
from srv.fetching.errors import CacheFull, DiskFull, FetchTooLong
from srv.storage import ContentChanged, Fetch, FetchFailed, NotStored, Unreachable
from srv_storage.http import HttpFetch

CONTENT = bytes(range(256)) * 400
#: Gets a copy in a process of its own, tells its path, and keeps it until its stdin ends.
PROCESS = """
import resource, sys
from pathlib import Path
from srv.fetching.cache import Cache
from srv.storage import FetchFailed
from srv_storage.http import HttpFetch

uri, folder, largest = sys.argv[1:]
if int(largest):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(largest), int(largest)))
try:
    copy = Cache(Path(folder)).copy_of(uri, HttpFetch(uri), title="iris", seconds=60)
except FetchFailed as error:
    print(error, flush=True)
else:
    print(copy.path, flush=True)
    sys.stdin.read()
"""


class Made(Fetch):
    """A fetch of the test's own: a version, and what it writes."""

    def __init__(self, etag="1", content=b"model", *, before=lambda: None, error=None):
        self.version = etag
        self.content = content
        self.before = before
        self.error = error
        self.downloads = 0

    def etag(self):
        if self.error is not None:
            raise self.error
        return self.version

    def download(self, folder, download):
        self.downloads += 1
        (folder / "model.onnx").write_bytes(self.content[:1])
        self.before()
        download.expect(len(self.content))
        download.add(len(self.content))
        (folder / "model.onnx").write_bytes(self.content)
        return folder / "model.onnx"


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


@pytest.fixture
def process(tmp_path):
    """Start processes that get a copy; all are ended after the test."""
    started = []

    def process(uri, largest=0):
        command = [sys.executable, "-c", PROCESS, uri, str(tmp_path / "cache"), str(largest)]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield process
    for each in started:
        each.kill()
        each.communicate()


def get(cache, fetch, uri="made://x", seconds=60.0):
    return cache.copy_of(uri, fetch, title="iris", seconds=seconds)


def files(cache):
    """All files below the cache but locks and descriptions."""
    names = {"lock", "room.lock", "use", "bytes", "copy.json"}
    return sorted(path.name for path in cache.folder.rglob("*") if path.is_file() and path.name not in names)


# -- once, and whole ---------------------------------------------------------------------------------------------------


def test_a_version_is_downloaded_once_and_a_new_one_again(cache):
    fetch = Made()

    first, again = get(cache, fetch), get(cache, fetch)
    other = get(cache, Made("2", b"new"))

    assert (first.path, fetch.downloads) == (again.path, 1)
    assert (first.path.read_bytes(), other.path.read_bytes()) == (b"model", b"new")  # the first is in use


def test_files_of_a_copy_are_read_only_because_others_use_them_too(cache):
    copy = get(cache, Made())

    assert copy.path.stat().st_mode & 0o222 == 0
    copy.release()
    assert copy.remove_unused()
    assert not copy.folder.exists()


def test_the_version_before_goes_once_nobody_uses_it(cache):
    first = get(cache, Made())
    first.release()

    get(cache, Made("2", b"new"))

    assert not first.folder.exists()
    assert files(cache) == ["model.onnx"]


def test_without_a_version_each_load_downloads_but_those_that_waited_for_the_same_download(cache):
    held, reached = threading.Event(), threading.Event()

    def before():
        reached.set()
        held.wait(60)

    fetches = [Made(None, before=before), Made(None)]
    threads = [threading.Thread(target=get, args=(cache, fetch)) for fetch in fetches]
    threads[0].start()
    reached.wait(60)
    asked = threading.Event()
    fetches[1].etag = lambda: asked.set()
    threads[1].start()
    asked.wait(60)
    held.set()
    for thread in threads:
        thread.join()

    assert [fetch.downloads for fetch in fetches] == [1, 0]
    third = Made(None)
    get(cache, third)
    assert third.downloads == 1


def test_two_processes_at_once_download_once(cache, process):
    with web_server() as web:
        page = web.put("/model.onnx", CONTENT, rest=threading.Event())
        first = process(web.url("/model.onnx"))
        page.half.wait(60)
        second = process(web.url("/model.onnx"))
        eventually(lambda: web.count("HEAD") == 2)
        page.rest.set()
        paths = [each.stdout.readline().strip() for each in (first, second)]

        assert paths[0] == paths[1]
        assert web.count("GET") == 1
    assert Path(paths[0]).read_bytes() == CONTENT


def test_a_process_that_is_killed_in_mid_download_leaves_nothing_that_the_next_one_uses(cache, process):
    with web_server() as web:
        page = web.put("/model.onnx", CONTENT, rest=threading.Event())
        killed = process(web.url("/model.onnx"))
        page.half.wait(60)
        eventually(lambda: files(cache) == ["model.onnx"])
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        page.rest = None

        copy = get(cache, HttpFetch(web.url("/model.onnx")), web.url("/model.onnx"))

        assert copy.path.read_bytes() == CONTENT
        assert web.count("GET") == 2
        assert files(cache) == ["model.onnx"]


def test_what_a_killed_process_left_goes_with_the_next_download_of_anything(cache, process):
    with web_server() as web:
        page = web.put("/model.onnx", CONTENT, rest=threading.Event())
        killed = process(web.url("/model.onnx"))
        page.half.wait(60)
        eventually(lambda: files(cache) == ["model.onnx"])
        killed.kill()
        killed.wait()

        other = get(Cache(cache.folder, limit=5), Made(), "made://other")

    assert [path for path in cache.folder.iterdir() if path.is_dir()] == [other.folder.parent]


def test_a_download_that_fails_leaves_nothing(cache):
    def broken():
        raise FetchFailed("The shelf fell down")

    with pytest.raises(FetchFailed, match="The shelf fell down"):
        get(cache, Made(before=broken))

    assert [path.name for path in cache.folder.iterdir() if path.is_dir()] == []


def test_content_that_changes_in_mid_download_is_asked_for_again_a_few_times(cache):
    fetch = Made()

    def change():
        if fetch.version == "1":
            fetch.version = "2"
            raise ContentChanged("changed")

    fetch.before = change
    assert get(cache, fetch).description.etag == "2"

    def always():
        raise ContentChanged("It changes all the time")

    with pytest.raises(ContentChanged, match="It changes all the time"):
        get(cache, endless := Made(before=always), "made://y")
    assert endless.downloads == 3


@pytest.mark.parametrize(
    "damage",
    [lambda file: file.chmod(0o600) or file.write_bytes(b"mo"), lambda file: file.unlink()],
    ids=["cut", "gone"],
)
def test_a_copy_that_somebody_has_damaged_is_downloaded_again(cache, damage):
    first = get(cache, Made())
    damage(first.path)

    assert get(cache, Made()).path.read_bytes() == b"model"


def test_a_plugin_that_returns_what_it_did_not_download_is_refused(cache, tmp_path):
    fetch = Made()
    fetch.download = lambda folder, download: tmp_path

    with pytest.raises(FetchFailed, match="returned no file or folder of what it downloaded"):
        get(cache, fetch)


# -- when the storage cannot be asked ----------------------------------------------------------------------------------


def test_a_storage_that_cannot_be_reached_leaves_the_newest_complete_copy_with_a_warning(cache, caplog):
    with pytest.raises(Unreachable, match="no network"):
        get(cache, Made(error=Unreachable("There is no network")))
    get(cache, Made())

    copy = get(cache, Made(error=Unreachable("There is no network")))

    assert copy.path.read_bytes() == b"model"
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warning.startswith("Model 'iris': There is no network. The copy that was downloaded on ")


def test_a_copy_of_what_is_not_there_any_more_is_not_served(cache):
    get(cache, Made())

    with pytest.raises(NotStored, match="It was deleted"):
        get(cache, Made(error=NotStored("It was deleted")))


# -- limits ------------------------------------------------------------------------------------------------------------


def test_the_copy_that_was_used_longest_ago_goes_where_the_limit_is_reached_and_none_that_is_used(tmp_path):
    cache = Cache(tmp_path / "cache", limit=25)
    copies = {name: get(cache, Made(content=b"0123456789"), f"made://{name}") for name in "ab"}
    copies["a"].release()
    copies["b"].release()
    for age, name in enumerate("ab"):
        os.utime(copies[name].folder / "use", (1000 + age, 1000 + age))
    get(cache, Made(content=b"0123456789"), "made://a").release()  # used again, so b is the one that goes

    get(cache, Made(content=b"0123456789"), "made://c")

    assert [copies[name].path.exists() for name in "ab"] == [True, False]
    get(cache, Made(content=b"0123456789"), "made://a")
    with pytest.raises(
        CacheFull,
        match=r"made://d has 10 bytes or more, which with the 20 bytes that are in use is beyond the cache_limit of 25 bytes",
    ):
        get(cache, Made(content=b"0123456789"), "made://d")


def test_a_copy_that_another_process_uses_stays_until_that_process_ends(tmp_path, process):
    cache = Cache(tmp_path / "cache", limit=len(CONTENT) + 1)
    with web_server() as web:
        web.put("/model.onnx", CONTENT)
        other = process(web.url("/model.onnx"))
        used = Path(other.stdout.readline().strip())

        with pytest.raises(CacheFull, match="with the 102 kB that are in use"):
            get(cache, Made())
        assert used.read_bytes() == CONTENT
        other.kill()
        other.wait()

        assert get(cache, Made()).path.read_bytes() == b"model"
        assert not used.exists()


def test_a_plugin_that_writes_more_than_it_tells_is_stopped_by_the_limit_too(tmp_path):
    cache = Cache(tmp_path / "cache", limit=100)
    fetch = Made()

    def download(folder, _):
        (folder / "model").write_bytes(bytes(1000))
        return folder

    fetch.download = download
    with pytest.raises(CacheFull, match="made://x has 1 kB or more"):
        get(cache, fetch)
    assert files(cache) == []


def test_a_disk_that_is_full_is_named_and_nothing_is_kept(cache, process):
    with web_server() as web:
        web.put("/model.onnx", CONTENT)

        told = process(web.url("/model.onnx"), largest=50_000).stdout.readline()

    assert f"The disk of the cache folder {cache.folder} has no room for {web.url('/model.onnx')}. Nothing" in told
    assert files(cache) == []


def test_a_disk_with_too_little_room_is_named_before_the_download(cache):
    fetch = Made(content=b"")

    def download(_, download):
        download.expect(10**18)

    fetch.download = download
    with pytest.raises(DiskFull, match=r"has no room for made://x: 1e\+06 TB more are needed and .* are free"):
        get(cache, fetch)


def test_a_download_that_takes_longer_than_load_timeout_is_ended_also_where_a_library_hides_it(cache):
    fetch = Made()

    def download(folder, download):
        assert download.seconds_left() <= 0.01
        time.sleep(0.02)
        try:
            download.add(1)
        except FetchFailed as error:
            raise ValueError("callback failed") from error

    fetch.download = download
    with pytest.raises(FetchTooLong, match=r"The download of made://x was not over after the 0\.01 s of load_timeout"):
        get(cache, fetch, seconds=0.01)


def test_a_wait_for_another_download_ends_with_load_timeout(cache, process):
    with web_server() as web:
        page = web.put("/model.onnx", CONTENT, rest=threading.Event())
        process(web.url("/model.onnx"))
        page.half.wait(60)

        with pytest.raises(FetchTooLong, match="The wait for another load, which downloads"):
            get(cache, HttpFetch(web.url("/model.onnx")), web.url("/model.onnx"), seconds=0.2)


# -- the log -----------------------------------------------------------------------------------------------------------


def test_a_download_that_lasts_tells_how_far_it_is_without_secrets(cache, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(transfer, "FIRST_LINE", 0.0)

    get(cache, Made(content=bytes(2_500_000)), "made://anna:secret@host/x?sig=0123456789")

    lines = [record.getMessage() for record in caplog.records]
    assert lines[0].startswith("Model 'iris': 2.5 MB of 2.5 MB (100 %) of made://***@host/x?*** have come, ")
    assert lines[-1].startswith("Model 'iris': downloaded 2.5 MB of made://***@host/x?*** in ")
    written = "".join(path.read_text(errors="replace") for path in cache.folder.rglob("copy.json"))
    assert [secret for secret in ("secret", "anna", "0123456789") if secret in "".join(lines) + written] == []
    assert json.loads(written)["uri"] == "made://***@host/x?***"
