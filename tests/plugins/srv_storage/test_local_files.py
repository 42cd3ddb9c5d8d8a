"""`file://`: served where it is, and copied where it must be unpacked or checked."""

import hashlib
import os
import zipfile

import pytest

from srv.storage import ContentChanged, FetchFailed, NoAccess, NotStored
from srv_storage.local_files import FileFetch


def test_a_file_and_a_folder_are_served_where_they_are(tmp_path):
    file = tmp_path / "my model?.onnx"
    file.write_bytes(b"model")

    assert FileFetch(f"file://{tmp_path}").local() == tmp_path
    assert FileFetch(f"file://localhost{tmp_path}/my%20model?.onnx").local() == file


def test_a_file_with_a_hash_is_copied_and_checked(tmp_path, download):
    file = tmp_path / "model.onnx"
    file.write_bytes(b"model")
    (tmp_path / "copy").mkdir()
    right = hashlib.sha256(b"model").hexdigest()

    fetch = FileFetch(f"{file.as_uri()}#sha256={right}")
    assert (fetch.local(), fetch.etag()) == (None, FileFetch(f"{file.as_uri()}#sha256={right}").etag())
    assert fetch.download(tmp_path / "copy", download).read_bytes() == b"model"

    file.write_bytes(b"other")
    (tmp_path / "other").mkdir()
    fetch.etag()
    with pytest.raises(FetchFailed, match=f"{hashlib.sha256(b'other').hexdigest()}, and not {right}"):
        fetch.download(tmp_path / "other", download)


def test_an_archive_is_unpacked_into_the_cache(tmp_path, download):
    with zipfile.ZipFile(tmp_path / "iris.zip", "w") as archive:
        archive.writestr("model.onnx", "model")
    (tmp_path / "copy").mkdir()

    fetch = FileFetch((tmp_path / "iris.zip").as_uri())

    assert fetch.local() is None
    fetch.etag()
    assert (fetch.download(tmp_path / "copy", download) / "model.onnx").read_text() == "model"
    assert (tmp_path / "iris.zip").exists()


def test_a_file_that_changes_while_it_is_copied_is_not_kept(tmp_path, download):
    file = tmp_path / "iris.zip"
    file.write_bytes(b"1")
    (tmp_path / "copy").mkdir()
    fetch = FileFetch(file.as_uri())
    fetch.etag()
    download.add = lambda _: file.write_bytes(b"22")

    with pytest.raises(ContentChanged, match="has changed while it was copied"):
        fetch.download(tmp_path / "copy", download)


@pytest.mark.parametrize(
    ("uri", "kind", "match"),
    [
        ("file://host/model", FetchFailed, "names no file of this machine. Write file:///absolute/path"),
        ("file://model.onnx", FetchFailed, "names no file of this machine"),
        ("file:///nowhere/model", NotStored, "Nothing is at file:///nowhere/model"),
        ("file:///tmp#sha256=" + "0" * 64, FetchFailed, "is a folder"),
    ],
)
def test_what_cannot_be_is_told(uri, kind, match):
    with pytest.raises(kind, match=match):
        _asked(uri)


def _asked(uri):
    fetch = FileFetch(uri)
    return fetch.local() or fetch.etag()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_told(tmp_path):
    (tmp_path / "model").touch(mode=0o000)

    with pytest.raises(NoAccess, match="may not be read by the user"):
        FileFetch((tmp_path / "model").as_uri()).local()
