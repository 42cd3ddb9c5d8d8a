"""The hub's answers are those of a stand-in, which speaks what the hub documents: model info and resolve."""

import json
import sys
from hashlib import sha256

import pytest

from srv.storage import ContentChanged, FetchFailed, NoAccess, NotStored, Unreachable
from srv_remote_storage import srv_storage

TOKEN = "hf_kept_to_itself_4711"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
WEIGHTS = b"weights" * 1000
SMALL = {"config.json": b"{}", "onnx/model.onnx": b"onnx", "onnx/deep/notes.md": b"words"}


@pytest.fixture
def hub(stand_in, monkeypatch):
    """A hub with one repository; large files are on another host, as the hub has them."""
    monkeypatch.setenv("HF_ENDPOINT", stand_in.url)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    large = {"size": len(WEIGHTS), "sha256": sha256(WEIGHTS).hexdigest(), "pointerSize": 130}
    files = [{"rfilename": name, "size": len(content), "blobId": "1"} for name, content in SMALL.items()]
    files.append({"rfilename": "model.safetensors", "size": len(WEIGHTS), "blobId": "2", "lfs": large})
    info = json.dumps({"id": "org/name", "sha": COMMIT, "siblings": files, "tags": []}).encode()
    answers = {"/api/models/org/name": info, "/api/models/org/name/revision/v1.0": info}
    answers |= {f"/org/name/resolve/{COMMIT}/{name}": content for name, content in SMALL.items()}
    stand_in.answers = {path: (200, content) for path, content in answers.items()}
    elsewhere = stand_in.url.replace("127.0.0.1", "localhost") + "/large"
    stand_in.answers[f"/org/name/resolve/{COMMIT}/model.safetensors"] = (302, b"", {"Location": elsewhere})
    stand_in.answers["/large"] = (200, WEIGHTS)
    return stand_in


def files_in(folder):
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def test_a_repository_is_a_folder_of_the_files_of_one_commit(hub, folder, download):
    fetch = srv_storage("hf://org/name")
    assert fetch.etag() == COMMIT
    assert fetch.download(folder, download) == folder
    assert files_in(folder) == {**SMALL, "model.safetensors": WEIGHTS}
    assert sum(download.expected) == download.added == sum(map(len, files_in(folder).values()))


def test_the_token_goes_to_the_hub_and_to_no_other_host(hub, folder, download):
    srv_storage("hf://org/name").download(folder, download)
    sent = {path: headers for _, path, headers in hub.requests}
    authorised = {path for path, headers in sent.items() if TOKEN in str(headers)}
    assert "/large" in sent
    assert authorised == set(sent) - {"/large"}


@pytest.mark.parametrize(
    "uri, artifact, files",
    [
        ("hf://org/name@v1.0/onnx", "", {"model.onnx": b"onnx", "deep/notes.md": b"words"}),
        ("hf://org/name/onnx/model.onnx", "model.onnx", {"model.onnx": b"onnx"}),
    ],
    ids=["a folder of a tag", "a file"],
)
def test_a_part_of_a_repository_is_fetched_alone(hub, folder, download, uri, artifact, files):
    assert srv_storage(uri).download(folder, download) == folder / artifact
    assert files_in(folder) == files


def test_a_large_file_with_another_hash_than_the_hub_tells_fails_the_download(hub, folder, download):
    hub.answers["/large"] = (200, b"Weights" * 1000)
    with pytest.raises(FetchFailed, match=r"'model.safetensors' of hf://org/name came with the SHA-256"):
        srv_storage("hf://org/name").download(folder, download)


def test_a_file_of_another_size_than_the_hub_tells_fails_the_download(hub, folder, download):
    hub.answers[f"/org/name/resolve/{COMMIT}/config.json"] = (200, b"{} ")
    with pytest.raises(ContentChanged, match=r"'config.json' changed"):
        srv_storage("hf://org/name/config.json").download(folder, download)


@pytest.mark.parametrize(
    "uri, status, kind, sentence",
    [
        (
            "hf://org/other",
            401,
            NoAccess,
            "The Hugging Face Hub has no hf://org/other, or refuses access to it (HTTP 401).",
        ),
        (
            "hf://org/gated",
            403,
            NoAccess,
            "The Hugging Face Hub has no hf://org/gated, or refuses access to it (HTTP 403).",
        ),
        ("hf://org/gone", 404, NotStored, "Nothing is stored at hf://org/gone."),
        ("hf://org/name/tokenizer.json", None, NotStored, "Nothing is stored at hf://org/name/tokenizer.json."),
        ("hf://org/slow", 500, Unreachable, "The Hugging Face Hub is not able to answer for hf://org/slow (HTTP 500)."),
    ],
)
def test_what_the_hub_refuses_is_told_in_a_sentence_without_the_token(hub, uri, status, kind, sentence):
    if status:
        hub.answers[f"/api/models/{uri.removeprefix('hf://')}"] = (status, b"no")
    with pytest.raises(kind) as raised:
        srv_storage(uri).etag()
    assert str(raised.value).startswith(sentence)
    assert TOKEN not in str(raised.value)


def test_a_hub_that_cannot_be_reached_is_told_as_such(monkeypatch, hub):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(Unreachable, match="The Hugging Face Hub cannot be asked for hf://org/name"):
        srv_storage("hf://org/name").etag()


def test_the_hub_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(FetchFailed, match=r"pip install srv-storage\[hf\]"):
        srv_storage("hf://org/name").etag()


@pytest.mark.parametrize("uri", ["hf://gpt2", "hf://", "hf://datasets/org/name", "hf://org/na me", "hf://org/name?x=1"])
def test_a_uri_that_names_no_model_of_the_hub_is_refused(uri):
    with pytest.raises(FetchFailed, match="write hf://ORGANISATION/NAME"):
        srv_storage(uri)
