"""Objects of buckets become files, whole and as they were listed, or the load fails and says why."""

import errno
import io
import os
import resource
import socket
import sys
import tarfile
import threading
import time

import pytest

from srv.storage import ContentChanged, FetchFailed, NoAccess, NotStored, Unreachable
from srv_remote_storage import downloads, srv_storage

SECRET = "kept-to-itself-4711"
ODD_NAMES = ["a b.txt", "c%20d", "é.txt", "x+y", "what?", "no#1", "~t", "[x]{y}", "deep/er/model.bin", "empty"]


def put(folder, **files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def files_in(folder):
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def test_a_prefix_is_a_folder_with_all_that_lies_below_it(s3, bucket, folder, download):
    content = {name: name.encode() for name in ODD_NAMES} | {"empty": b""}
    put(bucket / "iris", **content)
    put(bucket / "iris-2", other=b"not asked for")
    fetch = srv_storage(f"s3://{bucket.name}/iris")
    assert fetch.etag()
    assert fetch.download(folder, download) == folder
    assert files_in(folder) == content
    assert (sum(download.expected), download.added) == (sum(map(len, content.values())),) * 2


def test_an_object_is_a_file_of_its_name(s3, bucket, folder, download):
    put(bucket, **{"iris/model.onnx": b"weights", "iris/model.onnx.md": b"words"})
    fetch = srv_storage(f"s3://{bucket.name}/iris/model.onnx")
    assert fetch.download(folder, download) == folder / "model.onnx"
    assert files_in(folder) == {"model.onnx": b"weights"}


def test_an_object_that_is_an_archive_is_unpacked_and_others_below_a_prefix_are_not(s3, bucket, folder, download):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as opened:
        member = tarfile.TarInfo("iris/model.onnx")
        member.size = 7
        opened.addfile(member, io.BytesIO(b"weights"))
    put(bucket, **{"one/iris.tar.gz": archive.getvalue()})
    artifact = srv_storage(f"s3://{bucket.name}/one/iris.tar.gz").download(folder, download)
    assert files_in(artifact) == {"model.onnx": b"weights"}
    whole = folder / "whole"
    whole.mkdir()
    srv_storage(f"s3://{bucket.name}/one").download(whole, download)
    assert files_in(whole) == {"iris.tar.gz": archive.getvalue()}


def test_a_large_object_comes_in_parts_that_fit_together(s3, bucket, folder, download, monkeypatch):
    monkeypatch.setattr(downloads, "PART", 1_000_000)
    content = os.urandom(4_500_001)
    put(bucket, large=content)
    srv_storage(f"s3://{bucket.name}/large").download(folder, download)
    assert (folder / "large").read_bytes() == content
    assert len(s3.gets("/large")) == 5
    assert download.added == len(content)


@pytest.mark.parametrize(
    "change",
    [{"a": b"2"}, {"b": b"1"}, {"c/d": b""}],
    ids=["another content", "another object", "an empty object more"],
)
def test_the_etag_changes_exactly_when_an_object_does(s3, bucket, change):
    put(bucket / "m", a=b"1")
    uri = f"s3://{bucket.name}/m/"
    before = srv_storage(uri).etag()
    assert srv_storage(uri).etag() == before
    put(bucket / "m", **change)
    assert srv_storage(uri).etag() != before


@pytest.mark.parametrize("now", [b"other", b"longer than before"], ids=["same size", "another size"])
def test_an_object_that_changes_after_its_etag_was_told_is_not_taken(s3, bucket, folder, download, now):
    put(bucket, model=b"first")
    fetch = srv_storage(f"s3://{bucket.name}/model")
    fetch.etag()
    put(bucket, model=now)
    with pytest.raises(ContentChanged, match="'model' changed while it was downloaded"):
        fetch.download(folder, download)


def test_a_connection_that_breaks_is_taken_up_where_it_broke(s3, bucket, folder, download):
    content = os.urandom(3_000_000)
    put(bucket, model=content)
    fetch = srv_storage(f"s3://{bucket.name}/model")
    fetch.etag()
    s3.limit, s3.cuts = 200_000, 1
    s3.goes_on.set()
    fetch.download(folder, download)
    assert (folder / "model").read_bytes() == content
    assert len(s3.gets("/model")) == 2


def test_an_answer_that_breaks_off_again_and_again_fails_the_download(s3, bucket, folder, download):
    put(bucket, model=os.urandom(3_000_000))
    fetch = srv_storage(f"s3://{bucket.name}/model")
    fetch.etag()
    s3.limit, s3.cuts = 0, 1000
    with pytest.raises(Unreachable, match=f"s3://{bucket.name}/model"):
        fetch.download(folder, download)
    assert len(s3.gets("/model")) > 1


def test_a_download_that_is_given_up_does_not_wait_for_a_silent_storage(s3, bucket, folder, download):
    put(bucket, model=os.urandom(3_000_000))
    fetch = srv_storage(f"s3://{bucket.name}/model")
    fetch.etag()
    s3.limit = 200_000

    def give_up():
        assert s3.reached.wait(30)
        download.ends = FetchFailed("Its time is over")

    waiting = threading.Thread(target=give_up)
    waiting.start()
    began = time.monotonic()
    with pytest.raises(FetchFailed, match="Its time is over"):
        fetch.download(folder, download)
    assert time.monotonic() - began < 20  # a silent connection would be held for 30 s
    waiting.join()


def test_a_full_disk_is_told_as_the_system_tells_it(s3, bucket, folder, download):
    put(bucket, model=os.urandom(3_000_000))
    fetch = srv_storage(f"s3://{bucket.name}/model")
    fetch.etag()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))  # no file of this process may be longer
    try:
        with pytest.raises(OSError) as raised:
            fetch.download(folder, download)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert raised.value.errno == errno.EFBIG


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.mark.parametrize(
    "uri, environment, kind, sentence",
    [
        (
            "s3://nowhere/iris",
            {},
            NotStored,
            "There is no bucket or container of s3://nowhere/iris (HTTP 404 NoSuchBucket).",
        ),
        ("s3://BUCKET/iris", {}, NotStored, "Nothing is stored at s3://BUCKET/iris."),
        ("s3://BUCKET/iris/", {}, NotStored, "Nothing is stored below s3://BUCKET/iris/."),
        (
            "s3://BUCKET/iris",
            {"AWS_SECRET_ACCESS_KEY": f"not-{SECRET}"},
            NoAccess,
            "The storage refuses access to s3://BUCKET/iris (HTTP 403 SignatureDoesNotMatch).",
        ),
        (
            "s3://BUCKET/iris",
            {"AWS_ACCESS_KEY_ID": "nobody"},
            NoAccess,
            "The storage refuses access to s3://BUCKET/iris (HTTP 403 InvalidAccessKeyId).",
        ),
        ("s3://BUCKET/iris", {"AWS_SKIP_SIGNATURE": "true"}, FetchFailed, "The storage answers HTTP 400"),
        (
            "s3://BUCKET/iris",
            {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{closed_port()}"},
            Unreachable,
            "The storage of s3://BUCKET/iris cannot be reached: the connection is refused.",
        ),
        (
            "s3://BUCKET/iris",
            {"AWS_ENDPOINT_URL": f"storage.example.org?{SECRET}"},
            FetchFailed,
            "AWS_ENDPOINT_URL is no address of a server: write https://HOST.",
        ),
        (
            "s3://BUCKET/iris",
            {"AWS_ACCESS_KEY_ID": f"{SECRET}\n"},
            FetchFailed,
            "s3://BUCKET/iris cannot be asked for with this environment: a variable has a character that does not",
        ),
        ("az://models/iris", {}, NoAccess, "az://models/iris does not say which account is meant."),
    ],
    ids=[
        "no bucket",
        "no object",
        "no folder",
        "wrong secret",
        "unknown key",
        "anonymous",
        "no server",
        "no endpoint",
        "line break",
        "no account",
    ],
)
def test_what_cannot_be_fetched_is_told_in_a_sentence_without_a_secret(
    s3, bucket, monkeypatch, uri, environment, kind, sentence
):
    put(bucket, other=b"")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(kind) as raised:
        srv_storage(uri.replace("BUCKET", bucket.name)).etag()
    said = str(raised.value)
    assert said.startswith(sentence.replace("BUCKET", bucket.name))
    assert SECRET not in said
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


def test_credentials_of_a_profile_are_used_where_the_environment_has_none(s3, bucket, tmp_path, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(
        f"[models]\naws_access_key_id = someone\naws_secret_access_key = {SECRET}\n"
    )
    monkeypatch.setenv("AWS_PROFILE", "models")
    put(bucket, model=b"")
    assert srv_storage(f"s3://{bucket.name}/model").etag()


def test_a_profile_that_is_not_there_is_named(s3, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_PROFILE", "modles")
    with pytest.raises(NoAccess, match="'modles'"):
        srv_storage("s3://models/iris").etag()


def test_a_profile_without_boto3_says_what_to_install(s3, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_PROFILE", "models")
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(NoAccess, match=r"pip install srv-storage\[aws\]"):
        srv_storage("s3://models/iris").etag()


def test_google_cloud_storage_is_asked_at_its_own_address_with_its_own_credentials(
    open_port, bucket, folder, download, monkeypatch
):
    # rclone speaks the XML API, which both storages share; there is no emulator of Google's own that does.
    monkeypatch.setenv("GOOGLE_BASE_URL", f"http://127.0.0.1:{open_port}")
    monkeypatch.setenv("GOOGLE_BEARER_TOKEN", SECRET)
    put(bucket / "iris", **{"model.onnx": b"weights", "notes/read.me": b"words"})
    fetch = srv_storage(f"gs://{bucket.name}/iris")
    assert fetch.download(folder, download) == folder
    assert files_in(folder) == {"model.onnx": b"weights", "notes/read.me": b"words"}
    with pytest.raises(NotStored, match="no bucket"):
        srv_storage("gs://nowhere/iris").etag()


EMPTY = b"""<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>models</Name><Prefix>model/</Prefix><KeyCount>0</KeyCount>
<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>"""
BLOBS = """<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Prefix>iris/</Prefix><Blobs><Blob>
<Name>iris/deep/model.onnx</Name><Properties><Last-Modified>Thu, 01 Jan 2026 00:00:00 GMT</Last-Modified><Etag>0x1</Etag>
<Content-Length>7</Content-Length><Content-Type>application/octet-stream</Content-Type></Properties></Blob></Blobs><NextMarker/></EnumerationResults>"""


def test_azure_is_asked_at_its_endpoint_with_its_token_which_no_error_shows(stand_in, folder, download, monkeypatch):
    # A stand-in of three answers; Azurite, the emulator, answers the same, and is no Python package.
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "shop")
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", stand_in.url)
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", f"sv=2024-01-01&sig={SECRET}")
    headers = {"ETag": '"0x1"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
    stand_in.answers = {"/models": (200, BLOBS.encode()), "/models/iris/deep/model.onnx": (200, b"weights", headers)}
    fetch = srv_storage("az://models/iris")
    assert fetch.download(folder, download) == folder
    assert files_in(folder) == {"deep/model.onnx": b"weights"}
    assert all(f"sig={SECRET}" in path for _, path, _ in stand_in.requests)
    stand_in.answers["/models"] = (
        403,
        b"<Error><Code>AuthenticationFailed</Code><Message>%s</Message></Error>" % SECRET.encode(),
    )
    with pytest.raises(
        NoAccess, match=r"refuses access to az://models/iris \(HTTP 403 AuthenticationFailed\)"
    ) as raised:
        srv_storage("az://models/iris").etag()
    assert SECRET not in str(raised.value)


def test_an_object_that_changes_between_two_of_its_parts_is_told_by_the_storage(
    stand_in, folder, download, monkeypatch
):
    monkeypatch.setenv("AWS_ENDPOINT_URL", stand_in.url)
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    meta = {"ETag": '"1"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT", "Content-Length": "7"}
    stand_in.answers = {"/models": (200, EMPTY), "/models/model": (200, b"", meta)}
    fetch = srv_storage("s3://models/model")
    fetch.etag()
    stand_in.answers["/models/model"] = (412, b"<Error><Code>PreconditionFailed</Code></Error>")
    with pytest.raises(ContentChanged, match="s3://models/model changed while it was downloaded"):
        fetch.download(folder, download)
    assert stand_in.requests[-1][2]["if-match"] == '"1"'
