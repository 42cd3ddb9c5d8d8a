"""Names of buckets and objects that storages allow, and folders do not."""

import pytest

from srv.storage import FetchFailed
from srv_remote_storage import objects, srv_storage
from srv_remote_storage.buckets import Place, place_of
from srv_remote_storage.objects import StoredObject, as_files

LIST = """<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>models</Name><Prefix>iris/</Prefix><KeyCount>2</KeyCount>
<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>%s</ListBucketResult>"""
ENTRY = "<Contents><Key>%s</Key><LastModified>2026-01-01T00:00:00Z</LastModified><ETag>&quot;1&quot;</ETag><Size>4</Size></Contents>"


def named(*names, size=1):
    return [StoredObject(name, name, size) for name in names]


@pytest.mark.parametrize(
    "key", ["iris/../../escaped", "iris//double", "iris/a&#10;b", "iris/..", "iris/a\\b", "other/model"]
)
def test_a_key_that_would_leave_the_folder_or_is_no_file_name_is_refused(stand_in, monkeypatch, tmp_path, key):
    monkeypatch.setenv("AWS_ENDPOINT_URL", stand_in.url)
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    stand_in.answers["/models"] = (200, (LIST % ((ENTRY % "iris/good") + (ENTRY % key))).encode())
    with pytest.raises(FetchFailed, match=r"rename it|below s3://models/iris, where it is not"):
        srv_storage("s3://models/iris").etag()


def test_what_is_no_list_of_objects_is_told_as_such(stand_in, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", stand_in.url)
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    stand_in.answers["/models"] = (200, b"<html><p>Log in")
    with pytest.raises(
        FetchFailed, match=r"What answers for s3://models/iris is no storage of this kind\. Check its endpoint"
    ):
        srv_storage("s3://models/iris").etag()


@pytest.mark.parametrize("name", ["/etc/passwd", "../up", "a/./b", "a/", "nul\0", "back\\slash"])
def test_a_name_that_is_no_file_in_a_folder_is_refused(name):
    with pytest.raises(FetchFailed, match="rename it"):
        as_files(named("fine", name), "s3://models/iris")


@pytest.mark.parametrize("names", [("a", "a/b"), ("a", "a")], ids=["file and folder", "twice"])
def test_names_that_cannot_stand_beside_each_other_are_refused(names):
    with pytest.raises(FetchFailed, match="holds 'a' twice, or as a file and a folder"):
        as_files(named(*names), "s3://models/iris")


def test_marks_of_folders_are_no_files():
    files = as_files([*named("", "deep", size=0), *named("deep/model")], "s3://models/iris")
    assert [each.name for each in files] == ["deep/model"]


def test_a_whole_bucket_is_refused(monkeypatch):
    monkeypatch.setattr(objects, "MOST_OBJECTS", 2)
    with pytest.raises(FetchFailed, match="more than 2 objects: name the folder of one model"):
        as_files(named("a", "b", "c"), "s3://models")


@pytest.mark.parametrize(
    "uri, place",
    [
        ("s3://models/iris/model.onnx", Place("s3", "models", "iris/model.onnx")),
        ("S3://models", Place("s3", "models", "")),
        ("gs://models/a b?c#d%20e", Place("gs", "models", "a b?c#d%20e")),
        ("az://models/iris", Place("az", "models", "iris")),
        ("abfs://models/iris/", Place("az", "models", "iris/")),
        ("abfss://models@shop.dfs.core.windows.net/iris", Place("az", "models", "iris", "shop")),
    ],
)
def test_a_uri_names_a_bucket_a_key_and_perhaps_an_account(uri, place):
    assert place_of(uri) == place


@pytest.mark.parametrize(
    "uri, sentence",
    [
        ("s3:///iris", "names no bucket"),
        ("s3://models:9000/iris", "names no bucket"),
        ("s3://key:kept-to-itself@models/iris", "Credentials come from the environment: AWS_ACCESS_KEY_ID"),
        ("gs://kept-to-itself@models/iris", "Credentials come from the environment: GOOGLE_APPLICATION_CREDENTIALS"),
    ],
)
def test_a_uri_without_a_bucket_or_with_credentials_is_refused(uri, sentence):
    with pytest.raises(FetchFailed, match=sentence) as raised:
        srv_storage(uri)
    assert "kept-to-itself" not in str(raised.value)


def test_other_schemes_are_left_to_others():
    assert srv_storage("https://example.org/model.onnx") is None
    assert srv_storage("s3a://models/iris") is None
