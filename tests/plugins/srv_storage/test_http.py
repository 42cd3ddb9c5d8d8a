"""`http://`: what came is what is there, whatever happens to connections, and no secret goes elsewhere."""

import hashlib
import io
import tarfile

import pytest
from marshmallow import ValidationError
from web_server import web_server

from srv.storage import ContentChanged, FetchFailed, NoAccess, NotStored, Unreachable
from srv_storage import http, srv_storage
from srv_storage.http import HttpFetch
from srv_storage.settings import StorageSettings, headers_for

CONTENT = bytes(range(256)) * 4096


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(http, "_WAIT", 0.0)


def test_srv_storage_fetches_the_three_schemes_of_srvs_own_and_no_other():
    assert type(srv_storage("HTTPS://host/model.onnx", {})) is type(srv_storage("http://host/x", {})) is HttpFetch
    assert srv_storage("file:///model.onnx", {}) is not None
    assert srv_storage("s3://bucket/model.onnx", {}) is None


def test_a_file_is_downloaded_whole_and_called_as_its_address(web, download, tmp_path):
    web.put("/models/my model.onnx", CONTENT)
    web.put("/models/my%20model.onnx", CONTENT)
    fetch = HttpFetch(web.url("/models/my model.onnx?part=1"))

    assert fetch.etag() == '"1"'
    artifact = fetch.download(tmp_path, download)

    assert artifact == tmp_path / "my model.onnx"
    assert artifact.read_bytes() == CONTENT
    assert (download.expected, download.received) == ([len(CONTENT)], len(CONTENT))


@pytest.mark.parametrize(
    ("how", "etag"),
    [
        ({"etag": 'W/"7"'}, 'W/"7"'),
        (
            {"etag": None, "headers": {"Last-Modified": "Mon, 02 Nov 2026 10:00:00 GMT"}},
            "Mon, 02 Nov 2026 10:00:00 GMT 3",
        ),
        ({"etag": None}, None),
        ({"etag": '"2"', "takes_head": False}, '"2"'),
    ],
    ids=["weak etag", "time and length", "nothing", "no HEAD"],
)
def test_the_version_is_what_the_server_says(web, how, etag):
    web.put("/model", b"123", **how)

    assert HttpFetch(web.url("/model")).etag() == etag


def test_a_download_that_breaks_goes_on_from_there(web, download, tmp_path):
    web.put("/model", CONTENT, breaks=[100_000, 200_000])

    artifact = HttpFetch(web.url("/model")).download(tmp_path, download)

    assert artifact.read_bytes() == CONTENT
    assert download.received == len(CONTENT)
    assert [asked.headers.get("Range") for asked in web.asked] == [None, "bytes=100000-", "bytes=300000-"]


@pytest.mark.parametrize("how", [{"etag": None}, {"etag": 'W/"1"'}, {"takes_ranges": False}], ids=str)
def test_a_download_that_cannot_go_on_begins_again(web, download, tmp_path, how):
    web.put("/model", CONTENT, breaks=[100_000], **how)

    artifact = HttpFetch(web.url("/model")).download(tmp_path, download)

    assert artifact.read_bytes() == CONTENT
    assert download.received == len(CONTENT)


def test_a_download_that_breaks_again_and_again_fails_and_says_so(web, download, tmp_path):
    web.put("/model", CONTENT, breaks=[0] * 10)

    with pytest.raises(Unreachable, match=r"broke off 5 times; the last time, .*bytes of 1048576"):
        HttpFetch(web.url("/model")).download(tmp_path, download)


def test_a_download_in_chunks_that_breaks_is_not_taken_for_whole(web, download, tmp_path):
    web.put("/model", CONTENT, end="chunks", etag=None, breaks=[100_000])

    artifact = HttpFetch(web.url("/model")).download(tmp_path, download)

    assert artifact.read_bytes() == CONTENT
    assert web.count("GET") == 2


def test_a_download_whose_end_nobody_could_tell_needs_a_hash(web, download, tmp_path):
    web.put("/model", CONTENT, end="close")

    with pytest.raises(FetchFailed, match=r"does not say how long http://.*/model is.*Give its hash, #sha256="):
        HttpFetch(web.url("/model")).download(tmp_path, download)

    (tmp_path / "whole").mkdir()
    pinned = f"{web.url('/model')}#sha256={hashlib.sha256(CONTENT).hexdigest()}"
    assert HttpFetch(pinned).download(tmp_path / "whole", download).read_bytes() == CONTENT


def test_content_that_changes_meanwhile_is_not_taken_for_the_one_that_was_there(web, download, tmp_path):
    web.put("/model", CONTENT)
    fetch = HttpFetch(web.url("/model"))
    fetch.etag()
    web.put("/model", CONTENT[::-1], etag='"2"')

    with pytest.raises(ContentChanged, match="has changed while it was downloaded"):
        fetch.download(tmp_path, download)


def test_content_that_changes_between_two_connections_is_never_put_together(web, download, tmp_path):
    web.put("/model", CONTENT, breaks=[100_000])
    fetch = HttpFetch(web.url("/model"))  # without etag(), so only the connections know
    original = download.add

    def add(size):
        if web.pages["/model"].etag == '"1"' and size:
            web.put("/model", CONTENT[::-1], etag='"2"')
        original(size)

    download.add = add

    assert fetch.download(tmp_path, download).read_bytes() == CONTENT[::-1]


def test_the_sha256_in_the_uri_is_the_version_and_is_checked(web, download, tmp_path):
    web.put("/model", CONTENT)
    right, wrong = hashlib.sha256(CONTENT).hexdigest(), "0" * 64

    fetch = HttpFetch(f"{web.url('/model')}#sha256={right}")
    assert fetch.etag() == f"sha256:{right}"
    assert web.asked == []
    (tmp_path / "right").mkdir()
    assert fetch.download(tmp_path / "right", download).read_bytes() == CONTENT
    with pytest.raises(FetchFailed, match=f"{right}, and not {wrong}"):
        HttpFetch(f"{web.url('/model')}#sha256={wrong}").download(tmp_path, download)
    with pytest.raises(FetchFailed, match="after # srv takes sha256= and 64"):
        HttpFetch(f"{web.url('/model')}#md5=1")


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, NotStored), (410, NotStored), (401, NoAccess), (403, NoAccess), (503, Unreachable), (429, Unreachable)],
)
def test_a_refusal_is_told_for_what_it_is(web, download, tmp_path, status, kind):
    web.put("/model", status=status)
    fetch = HttpFetch(web.url("/model"))

    with pytest.raises(kind, match=str(status)):
        fetch.etag()
    with pytest.raises(kind, match=str(status)):
        fetch.download(tmp_path, download)


def test_a_server_that_is_not_there_is_unreachable():
    with web_server() as gone:
        address = gone.url("/model")

    with pytest.raises(Unreachable, match=f"{address} cannot be reached: Connection refused"):
        HttpFetch(address).etag()


def test_credentials_of_the_address_are_sent_and_follow_no_redirect_to_another_host(web, download, tmp_path):
    web.put("/model", CONTENT, authorization="Basic YW5uYTpwQHNz")  # anna:p@ss
    web.put("/here", status=302, headers={"Location": "/model"})
    with web_server() as other:
        other.put("/model", CONTENT)
        web.put("/there", status=302, headers={"Location": other.url("/model")})
        for path in ("/model", "/here", "/there"):
            HttpFetch(web.url(path, user="anna:p%40ss")).etag()
        elsewhere = [asked.headers.get("Authorization") for asked in other.asked]

    assert elsewhere == [None]
    with pytest.raises(NoAccess, match="401"):
        HttpFetch(web.url("/model")).etag()


@pytest.mark.parametrize("leads", ["/around", "ftp://host/model"])
def test_a_redirect_that_srv_does_not_follow_is_told_as_one(web, leads):
    web.put("/around", status=302, headers={"Location": leads})

    with pytest.raises(FetchFailed, match=r"^srv does not follow the redirect \(302\) of http\S+/around: it leads"):
        HttpFetch(web.url("/around")).etag()


def test_headers_of_the_settings_go_to_their_server_alone(web, download, tmp_path):
    web.put("/model", CONTENT, authorization="Bearer 1234")
    settings = StorageSettings().load({"headers": {web.url(): {"authorization": "Bearer 1234"}}})
    with web_server() as other:
        other.put("/model", CONTENT)
        web.put("/there", status=302, headers={"Location": other.url("/back")})
        other.put("/back", status=302, headers={"Location": web.url("/model")})

        assert srv_storage(web.url("/model"), settings).download(tmp_path, download).read_bytes() == CONTENT
        srv_storage(other.url("/model"), settings).etag()
        with pytest.raises(NoAccess):  # another server has led back, and could lead anywhere
            srv_storage(web.url("/there"), settings).etag()

        # Twice led there, because what a HEAD is refused is asked by GET.
        assert [asked.headers.get("Authorization") for asked in other.asked] == [None, None, None]


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"models.example.org": {}}, "'models.example.org' must be the scheme and host"),
        ({"https://host/path": {}}, "must be the scheme and host of a web server"),
        ({"https://host": {"Authorization": "Bearer 1\n2"}}, "The header 'Authorization' of 'https://host' is none"),
        ({"https://host": {"A b": "1"}}, "The header 'A b'"),
    ],
)
def test_headers_that_cannot_be_sent_are_refused_without_their_values(headers, message):
    with pytest.raises(ValidationError, match=message) as caught:
        StorageSettings().load({"headers": headers})

    assert "Bearer" not in str(caught.value)


@pytest.mark.parametrize("origin", ["https://Host", "https://host:443"])
def test_an_origin_is_known_however_it_is_written(origin):
    settings = {"headers": {origin: {"A": "1"}}}

    assert headers_for("https://user:word@host/model", settings) == {"A": "1"}
    assert headers_for("http://host/model", settings) == headers_for("https://host:444/model", settings) == {}


def test_a_content_encoding_that_nobody_asked_for_is_refused(web, download, tmp_path):
    web.put("/model.onnx", CONTENT, headers={"Content-Encoding": "gzip"})

    with pytest.raises(FetchFailed, match="comes in the content encoding 'gzip'"):
        HttpFetch(web.url("/model.onnx")).download(tmp_path, download)


def test_an_archive_is_unpacked(web, download, tmp_path):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("iris/model.skops")
        member.size = 5
        archive.addfile(member, io.BytesIO(b"model"))
    web.put("/iris.tar.gz", packed.getvalue())

    artifact = HttpFetch(web.url("/iris.tar.gz?token=1")).download(tmp_path, download)

    assert (artifact.name, (artifact / "model.skops").read_bytes()) == ("iris", b"model")


@pytest.mark.parametrize("uri", ["http:///model", "http://host:port/model", "http://[::1/model"])
def test_an_address_that_is_none_is_refused(uri):
    with pytest.raises(FetchFailed, match=r"names no host|is no address"):
        HttpFetch(uri)
