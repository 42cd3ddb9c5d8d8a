import errno
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from packing import BASE, SITE, link, pack, special, venv

from srv.environments.errors import EnvironmentUnusable
from srv.environments.unpacking import UnpackedEnvironments
from srv.errors import SrvError
from srv.fetching.errors import DiskFull

#: Says where it was run, as conda-unpack writes its place into files.
CONDA_UNPACK = "import os, pathlib, sys\nhere = pathlib.Path(__file__).resolve().parent.parent\n(here / 'place').write_text(str(here))\n"


@pytest.fixture
def cache(tmp_path):
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


def unpacked(cache, archive, **given):
    return UnpackedEnvironments(cache, given.pop("limit", None)).copy_of(archive, title="m", seconds=60, **given)


def nothing_in(cache):
    return [path for path in cache.rglob("*") if path.name not in ("lock", "room.lock")] == []


def test_an_archive_becomes_a_folder_that_runs(cache, tmp_path):
    copy = unpacked(cache, pack(tmp_path / "env.tar.gz", venv()))

    said = subprocess.run(
        [copy.path / "bin" / "python3", "-I", "-c", "import colours, sys; print(colours.RED, sys.prefix)"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert said.split() == ["1", str(copy.path)]
    assert str((copy.path / "lib64").readlink()) == "lib"


def test_an_archive_with_a_folder_at_its_top_becomes_that_folder(cache, tmp_path):
    copy = unpacked(cache, pack(tmp_path / "env.tar", venv("sklearn/")))
    assert copy.path.name == "sklearn"
    assert (copy.path / "bin" / "python").exists()


def test_conda_unpack_runs_where_the_environment_stays(cache, tmp_path):
    members = venv("env/") | {"env/bin/conda-unpack": CONDA_UNPACK}
    copy = unpacked(cache, pack(tmp_path / "env.tar", members))

    assert (copy.path / "place").read_text() == str(copy.path)
    assert "place" in " ".join(copy.description.files)


@pytest.mark.parametrize(
    "script, how",
    [
        ("raise SystemExit('no prefix')", "failed with exit code 1: no prefix"),
        ("import os; os._exit(3)", "failed with exit code 3"),
    ],
)
def test_a_conda_unpack_that_fails_leaves_nothing(cache, tmp_path, script, how):
    archive = pack(tmp_path / "env.tar", venv() | {"bin/conda-unpack": script})
    with pytest.raises(EnvironmentUnusable, match=f"conda-unpack of the environment .*env.tar {how}"):
        unpacked(cache, archive)
    assert nothing_in(cache)


def test_an_archive_is_extracted_once_and_again_when_it_changes(cache, tmp_path, caplog):
    caplog.set_level("INFO", "srv.environments.unpacking")
    archive = pack(tmp_path / "env.tar", venv())
    first = unpacked(cache, archive)
    assert unpacked(cache, archive).path == first.path
    first.release()

    changed = unpacked(cache, pack(archive, venv() | {f"{SITE}/more.py": "x = 2"}))

    assert changed.path != first.path
    assert (changed.path / SITE / "more.py").exists()
    assert [record.message.split(",")[0] for record in caplog.records] == [
        f"Model 'm': extracted the environment {archive}"
    ] * 2


def test_the_former_environment_is_removed_when_nobody_uses_it(cache, tmp_path):
    archive = pack(tmp_path / "env.tar", venv())
    used = unpacked(cache, archive)
    second = unpacked(cache, pack(archive, venv() | {"more": "x"}))
    assert used.path.exists()
    for copy in (used, second):
        copy.release()

    unpacked(cache, pack(archive, venv() | {"more": "y"}))

    assert not used.path.exists()
    assert not second.path.exists()


def test_a_file_that_is_gone_has_the_environment_extracted_again(cache, tmp_path):
    archive = pack(tmp_path / "env.tar", venv())
    copy = unpacked(cache, archive)
    (copy.path / SITE / "colours.py").unlink()
    copy.release()

    assert (unpacked(cache, archive).path / SITE / "colours.py").exists()


def test_bytecode_that_python_writes_is_no_damage(cache, tmp_path, caplog):
    caplog.set_level("INFO", "srv.environments.unpacking")
    archive = pack(tmp_path / "env.tar", venv() | {f"{SITE}/__pycache__/colours.pyc": "old"})
    copy = unpacked(cache, archive)
    (copy.path / SITE / "__pycache__" / "colours.pyc").write_text("another")

    assert unpacked(cache, archive).path == copy.path
    assert len(caplog.records) == 1


def test_what_a_process_left_that_died_is_never_taken_for_an_environment(cache, tmp_path):
    archive = pack(
        tmp_path / "env.tar", venv() | {"bin/conda-unpack": "import os, signal; os.kill(os.getppid(), signal.SIGKILL)"}
    )
    code = "import sys; from pathlib import Path; from srv.environments.unpacking import UnpackedEnvironments as U; U(Path(sys.argv[1])).copy_of(Path(sys.argv[2]), title='m', seconds=60)"
    died = subprocess.run([sys.executable, "-c", code, cache, archive], check=False)
    assert died.returncode == -9
    assert list(cache.rglob("bin/python"))  # all of it is there, and nobody has said that it is complete

    with pytest.raises(EnvironmentUnusable):  # because conda-unpack is run again, which ends without a parent to kill
        UnpackedEnvironments(cache).copy_of(
            pack(archive, venv() | {"bin/conda-unpack": "raise SystemExit(2)"}), title="m", seconds=60
        )
    assert list(cache.rglob("bin/python")) == []


def test_two_servers_that_share_a_cache_extract_once(cache, tmp_path, caplog):
    caplog.set_level("INFO", "srv.environments.unpacking")
    archive = pack(tmp_path / "env.tar", venv())
    together = threading.Barrier(4)

    def load(_):
        together.wait()
        return unpacked(cache, archive).path

    with ThreadPoolExecutor(4) as pool:
        paths = set(pool.map(load, range(4)))

    assert len(paths) == 1
    assert sum("extracted" in record.message for record in caplog.records) == 1


def test_an_archive_that_is_refused_leaves_nothing(cache, tmp_path):
    for number, members in enumerate((venv() | {"../x": "x"}, venv(srv=False), venv(base="/nowhere/python"))):
        with pytest.raises(EnvironmentUnusable):
            unpacked(cache, pack(tmp_path / f"{number}.tar", members))
    assert nothing_in(cache)


def test_a_link_that_leaves_by_way_of_another_is_refused(cache, tmp_path):
    members = venv() | {"a/b/here": link("a/b/here", "../.."), "a/b/far": link("a/b/far", "here/../x/../..")}
    with pytest.raises(
        EnvironmentUnusable, match="'a/b/far', which is a link that leads out of its folder by way of others"
    ):
        unpacked(cache, pack(tmp_path / "env.tar", members))
    assert nothing_in(cache)


def test_links_in_a_circle_do_no_harm(cache, tmp_path):
    members = venv() | {"a": link("a", "b"), "b": link("b", "a")}
    assert (unpacked(cache, pack(tmp_path / "env.tar", members)).path / "bin" / "python").exists()


def test_a_hard_link_is_a_file(cache, tmp_path):
    member = special(f"{SITE}/paints.py", b"1", f"{SITE}/colours.py")
    copy = unpacked(cache, pack(tmp_path / "env.tar", venv(), [(member.name, member)]))
    assert (copy.path / SITE / "paints.py").read_text() == "RED = 1\n"


def test_a_disk_without_room_is_told_before_anything_is_extracted(cache, tmp_path, monkeypatch):
    monkeypatch.setattr("srv.fetching.room.shutil.disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(DiskFull, match=r"has no room for .*env.tar: .* more are needed and 10 bytes are free"):
        unpacked(cache, pack(tmp_path / "env.tar", venv()))
    assert nothing_in(cache)


def test_a_disk_that_fills_meanwhile_keeps_nothing(cache, tmp_path, monkeypatch):
    archive = pack(tmp_path / "env.tar", venv())

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("srv.tar_members.shutil.copyfileobj", full)
    with pytest.raises(DiskFull, match="Nothing of it was kept"):
        unpacked(cache, archive)
    assert nothing_in(cache)


def test_an_environment_counts_in_the_limit_of_the_cache(cache, tmp_path):
    with pytest.raises(SrvError, match="beyond the cache_limit of 100 bytes"):
        unpacked(cache, pack(tmp_path / "env.tar", venv()), limit=100)

    first = unpacked(cache, pack(tmp_path / "one.tar", venv() | {"noise": bytes(10_000)}), limit=15_000)
    first.release()
    second = unpacked(cache, pack(tmp_path / "two.tar", venv() | {"noise": bytes(10_000)}), limit=15_000)
    assert (first.path.exists(), second.path.exists()) == (False, True)


def test_the_time_for_the_load_ends_an_extraction(cache, tmp_path):
    archive = pack(tmp_path / "env.tar", venv())
    with pytest.raises(EnvironmentUnusable, match="was not over after the 0 s of load_timeout"):
        UnpackedEnvironments(cache).copy_of(archive, title="m", seconds=0)
    assert nothing_in(cache)


def test_the_base_python_is_the_one_of_the_archive(cache, tmp_path):
    copy = unpacked(cache, pack(tmp_path / "env.tar", venv()))
    assert str((copy.path / "bin" / "python").readlink()) == BASE
