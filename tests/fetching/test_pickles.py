"""What was fetched is code only where the operator has said so."""

import io
import pickle
import zipfile

import pytest

from srv.fetching.artifacts import Artifacts
from srv.fetching.errors import PickleFetched
from srv.fetching.pickles import pickle_in
from srv.model_settings import ModelParameters, ModelSettings
from srv.storage import Fetch


class Shelf(Fetch):
    """Files by name; one file is the artifact itself."""

    def __init__(self, files):
        self.files = files

    def etag(self):
        return "1"

    def download(self, folder, download):
        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        return folder / next(iter(self.files)) if len(self.files) == 1 else folder


def fetched(tmp_path, files, code_files=(), **settings):
    artifacts = Artifacts(
        lambda _: Shelf(files), folder=tmp_path / "cache", limit=None, seconds=60.0, code_files=code_files
    )
    parameters = ModelParameters(uri="shelf://host/x?token=0123456789", format=settings.pop("format", None))
    return artifacts.fetch(ModelSettings(name="iris", parameters=parameters, **settings))


def archive(*names):
    """A zip archive with empty files of these names."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        for name in names:
            made.writestr(name, b"")
    return stream.getvalue()


PICKLED = pickle.dumps({"weights": [1.0]})
CODE = [
    {"model.joblib": b"x"},
    {"model.onnx": PICKLED},
    {"model.onnx": pickle.dumps([1], protocol=2)},
    {"config.json": b"{}", "model.pkl": b"x"},
    {"model.pt2": b"x"},
    {"pytorch_model.bin": archive("pytorch_model/data.pkl", "pytorch_model/version")},
    {"weights.zip": archive("net/models/model.json", "net/archive_format")},
]
DATA = [
    {"model.onnx": b"\x08\x07\x12\x04"},
    {"model.safetensors": (640).to_bytes(8, "little") + b"{}"},
    {"config.json": b"{}", "modeling.py": b"import os"},
    {"empty.onnx": b""},
    {"arrays.npz": archive("weights.npy"), "model.skops": archive("schema.json"), "torn.zip": archive("x")[:40]},
]


@pytest.mark.parametrize("files", CODE, ids=" ".join)
def test_a_pickle_is_refused_with_the_file_and_what_to_say(tmp_path, files):
    with pytest.raises(
        PickleFetched, match=r"^'[\w.]+' of shelf://host/x\?\*\*\* is a pickle.*SRV_MODEL__ALLOW_PICKLE"
    ):
        fetched(tmp_path, files)


@pytest.mark.parametrize("files", CODE, ids=" ".join)
def test_the_word_of_a_file_that_travels_with_the_model_does_not_allow_it_and_the_operators_does(tmp_path, files):
    with pytest.raises(PickleFetched):
        fetched(tmp_path, files, allow_pickle=True)

    assert fetched(tmp_path, files, operator_allows_pickle=True).path.exists()


@pytest.mark.parametrize("files", DATA, ids=" ".join)
def test_what_is_no_pickle_is_taken(tmp_path, files):
    assert fetched(tmp_path, files).path.exists()


def test_a_file_that_its_runtime_calls_code_is_refused_as_a_pickle_is(tmp_path):
    files = {"MLmodel": b"flavors: {}", "code.py": b"import os"}
    with pytest.raises(
        PickleFetched, match=r"^'MLmodel' of shelf://host/x\?\*\*\* names code that runs when it is loaded\. If"
    ):
        fetched(tmp_path, files, code_files={"MLmodel"})

    assert fetched(tmp_path, files, code_files={"MLmodel"}, operator_allows_pickle=True).path.exists()


def test_a_format_that_is_a_pickle_makes_every_file_one(tmp_path):
    with pytest.raises(PickleFetched, match=r"'weights\.bin'"):
        fetched(tmp_path, {"weights.bin": b"x"}, format="joblib")


def test_a_refused_copy_may_leave_the_cache(tmp_path):
    with pytest.raises(PickleFetched):
        fetched(tmp_path, {"model.pkl": b"x"})

    (copy,) = [path.parent for path in (tmp_path / "cache").rglob("copy.json")]
    assert pickle_in(copy, None) == "model.pkl"
    small = Artifacts(lambda _: Shelf({"a.onnx": b"a"}), folder=tmp_path / "cache", limit=1, seconds=60.0)
    assert small.fetch(ModelSettings(name="a", parameters=ModelParameters(uri="shelf://a"))).path.read_bytes() == b"a"
    assert not copy.exists()
