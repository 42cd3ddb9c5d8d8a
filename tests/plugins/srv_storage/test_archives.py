"""Archives are unpacked, and nothing in one leaves its folder."""

import io
import tarfile
import zipfile

import pytest

from srv.archives import is_archive, unpack
from srv.storage import FetchFailed


def tar(path, members, mode="w:gz"):
    """Write members: content by name, or a link's target with `->` before it."""
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


def zipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("name", "mode"), [("a.tar", "w"), ("a.TGZ", "w:gz"), ("a.tar.bz2", "w:bz2"), ("a.tar.xz", "w:xz")]
)
def test_each_kind_of_tar_is_unpacked_and_removed(tmp_path, download, name, mode):
    archive = tar(tmp_path / name, {"model.onnx": b"model", "more/labels.txt": b"a"}, mode)

    folder = unpack(archive, tmp_path, download)

    assert sorted(path.name for path in folder.iterdir()) == ["model.onnx", "more"]
    assert not archive.exists()
    assert is_archive(name)


def test_a_zip_whose_only_content_is_a_folder_is_that_folder(tmp_path, download):
    folder = unpack(zipped(tmp_path / "a.zip", {"iris/model.onnx": b"m" * 1000, "iris/b": b""}), tmp_path, download)

    assert (folder.name, (folder / "model.onnx").stat().st_size) == ("iris", 1000)
    assert download.expected[-1] > 1000


@pytest.mark.parametrize(
    "members",
    [
        {"../outside": b"x"},
        {"link": "/etc/passwd"},
        {"link": "../.."},
        {"in/../../outside": b"x"},
        {"a/b/here": "../..", "a/b/far": "here/../x/../.."},
        {"a": "in", "a/file": b"x"},
    ],
    ids=str,
)
def test_a_tar_that_would_leave_its_folder_is_refused(tmp_path, download, members):
    place = tmp_path / "place"
    place.mkdir()

    with pytest.raises(FetchFailed, match=r"The archive 'a\.tgz' cannot be unpacked"):
        unpack(tar(place / "a.tgz", members), place, download)

    assert [path.name for path in tmp_path.iterdir()] == ["place"]


@pytest.mark.parametrize("name", ["../outside", "/outside", "a/../../outside", "..\\outside"])
def test_a_zip_that_would_leave_its_folder_is_refused(tmp_path, download, name):
    with pytest.raises(FetchFailed, match="which would leave its folder"):
        unpack(zipped(tmp_path / "a.zip", {name: b"x"}), tmp_path, download)


def test_a_link_in_a_zip_is_refused(tmp_path, download):
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")

    with pytest.raises(FetchFailed, match="has the link 'link'"):
        unpack(tmp_path / "a.zip", tmp_path, download)


@pytest.mark.parametrize("name", ["a.tar.gz", "a.zip", "a.tar.xz"])
def test_a_damaged_or_empty_archive_is_named(tmp_path, download, name):
    whole = (
        tar(tmp_path / "whole", {"a": bytes(range(256)) * 500})
        if "gz" in name
        else zipped(tmp_path / "whole", {"a": b"a" * 500})
    )
    (tmp_path / name).write_bytes(whole.read_bytes()[:100])
    (tmp_path / "place").mkdir()

    with pytest.raises(FetchFailed, match=f"The archive '{name}' cannot be unpacked") as refused:
        unpack(tmp_path / name, tmp_path / "place", download)
    assert "\n" not in str(refused.value)
    with pytest.raises(FetchFailed, match=r"The archive 'b\.tar' is empty"):
        unpack(tar(tmp_path / "b.tar", {}, "w"), tmp_path, download)


def test_room_is_asked_for_what_an_archive_becomes(tmp_path, download):
    archive = tar(tmp_path / "bomb.tgz", {"zeros": bytes(10_000_000)})
    assert archive.stat().st_size < 100_000

    def expect(size):
        if size > 1_000_000:
            raise FetchFailed("no room")

    download.expect = expect

    with pytest.raises(FetchFailed, match="no room"):
        unpack(archive, tmp_path, download)
    assert not (tmp_path / "content" / "zeros").exists()
