"""A class in the served folder as the runtime of the models that name none, wherever their folders are."""

import json
import sys
from textwrap import dedent

import pytest

from srv.errors import LoadFailed
from srv.testing import Client

#: Reads the model's own artifact, and a sibling of its own module.
GREETER = """
    from greeting import WORD
    from srv import InputCodec, Runtime, Tensor

    count = 0

    class Name(str):
        pass

    class NameCodec(InputCodec):
        content_type, type_hint, datatype = "name", list[Name], "BYTES"
        def can_encode(self, value):
            return isinstance(value, list) and all(isinstance(each, Name) for each in value)
        def decode(self, tensor):
            return [Name(each.decode().title()) for each in tensor.data]
        def encode(self, name, value):
            return Tensor(name, list(value), "BYTES", parameters={"content_type": "name"})

    class Greeter(Runtime):
        def load(self):
            global count
            count += 1
            self.sign = self.artifact("sign.txt").read_text()
            self.count = count

        def predict(self, names: list[Name]) -> list[Name]:
            return [Name(f"{WORD} {each}{self.sign}{self.count}") for each in names]
"""
ASKED = {"names": ["ada"]}


def lay(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(content) if isinstance(content, str) else json.dumps(content))
    return folder


@pytest.fixture
def served(tmp_path):
    """A folder with a default runtime, a model in it, and one in a folder beside it."""
    lay(tmp_path / "mounted", {"far/model-settings.json": {}, "far/sign.txt": "?"})
    return lay(
        tmp_path / "served",
        {
            "settings.json": {"models_dir": str(tmp_path / "mounted")},
            "model-settings.json": {"implementation": "models.Greeter"},
            "models.py": GREETER,
            "greeting.py": "WORD = 'hello'",
            "near/model-settings.json": {},
            "near/sign.txt": "!",
        },
    )


def said(client, name, form="json"):
    return client.infer(name, ASKED, form=form)["output"].tolist()


def test_models_of_both_folders_are_of_the_class_with_artifacts_of_their_own_and_a_private_copy_of_its_modules(served):
    with Client.of(served) as client:
        assert client.get("/v2/models").json == {"models": ["far", "near"]}
        for form in ("json", "grpc"):
            assert said(client, "near", form) == [b"hello Ada!1"]
            assert said(client, "far", form) == [b"hello Ada?1"]
        assert {"srv.model.near.models", "srv.model.far.models"} <= {*sys.modules}


def test_codecs_beside_the_class_count_for_each_of_its_models(served):
    with Client.of(served) as client:
        assert [client.metadata(name).json["inputs"][0]["parameters"] for name in ("near", "far")] == [
            {"content_type": "name"}
        ] * 2


def test_a_load_over_the_wire_takes_the_class_as_it_is_now_for_the_model_that_is_loaded(served):
    with Client.of(served) as client:
        (served / "greeting.py").write_text("WORD = 'bye'")

        assert client.post("/v2/repository/models/far/load", {}).status == 200

        assert said(client, "far") == [b"bye Ada?1"]
        assert said(client, "near") == [b"hello Ada!1"]


def test_modules_in_the_folder_of_a_model_do_not_cover_those_of_its_default_runtime(served, tmp_path):
    lay(
        tmp_path / "mounted",
        {"far/greeting.py": "WORD = 'mine'", "far/models.py": "raise RuntimeError('not asked for')"},
    )
    with Client.of(served) as client:
        assert said(client, "far") == [b"hello Ada?1"]


def test_a_default_whose_module_the_served_folder_lacks_is_looked_for_in_the_folder_of_each_model(tmp_path):
    code = """
        from srv import Runtime
        class M(Runtime):
            def predict(self, names: list[str]) -> list[str]:
                return ["{}"]
    """
    files = {f"{name}/models.py": code.format(name) for name in ("a", "b")}
    settings = {f"{name}/model-settings.json": {} for name in ("a", "b")}
    lay(tmp_path, {"model-settings.json": {"implementation": "models.M"}, **files, **settings})
    with Client.of(tmp_path) as client:
        assert (said(client, "a"), said(client, "b")) == ([b"a"], [b"b"])


def test_codecs_that_defaults_name_and_a_class_of_the_model_s_own_come_each_from_their_own_folder(served, tmp_path):
    code = """
        from srv import InferenceRequest, Runtime
        class Own(Runtime):
            def predict(self, request: InferenceRequest):
                return [f"own {each}" for each in request.decode("names")]
    """
    lay(served, {"model-settings.json": {"implementation": "models.Greeter", "codecs": ["models.NameCodec"]}})
    own = {"implementation": "models.Own", "parameters": {"content_type": "name"}}
    lay(tmp_path / "mounted", {"own/models.py": code, "own/model-settings.json": own})
    with Client.of(served) as client:
        assert said(client, "own") == [b"own Ada"]
        assert said(client, "far") == [b"hello Ada?1"]
        before = {name for name in sys.modules if name.startswith("srv.model.own")}
        assert any(name.endswith(".models") for name in before - {"srv.model.own.models"})
    assert not {name for name in sys.modules if name.startswith("srv.model.own")}


def test_a_default_runtime_that_cannot_be_imported_is_a_failed_load_of_each_model_that_needs_it(served):
    (served / "greeting.py").write_text("raise RuntimeError('no greeting today')")
    with pytest.raises(LoadFailed, match="no greeting today"):
        Client.of(served)
