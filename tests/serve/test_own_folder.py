"""A server with two workers whose folder has all it needs: a default runtime with a codec, for models in models_dir."""

import json
from textwrap import dedent

import pytest

from srv import InferenceRequest, Tensor
from srv.testing import srv_server
from srv.testing.transports import FORMS, Json

pytestmark = pytest.mark.e2e

CODE = """
    from srv import InputCodec, Runtime, Tensor

    class Picture:
        def __init__(self, data):
            self.data = data

    class PictureCodec(InputCodec):
        content_type, type_hint, datatype, binary = "picture", Picture, "BYTES", True

        def can_encode(self, value):
            return isinstance(value, Picture)

        def decode(self, tensor):
            return Picture(tensor.data[0])

        def encode(self, name, value):
            return Tensor(name, [value.data], "BYTES", parameters={"content_type": "picture"})

    class Framed(Runtime):
        def load(self):
            self._frame = self.artifact("frame.bin").read_bytes()

        def predict(self, picture: Picture) -> Picture:
            return Picture(self._frame + picture.data + self._frame)
"""


def add_model(folder, name, frame):
    (folder / name).mkdir(parents=True)
    (folder / name / "frame.bin").write_bytes(frame)
    (folder / name / "model-settings.json").write_text("{}")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    top = tmp_path_factory.mktemp("own")
    served, mounted = top / "served", top / "mounted"
    served.mkdir()
    (served / "models.py").write_text(dedent(CODE))
    (served / "model-settings.json").write_text('{"implementation": "models.Framed"}')
    settings = {"models_dir": str(mounted), "workers": 2, "follow_links": True}
    (served / "settings.json").write_text(json.dumps(settings))
    add_model(mounted, "stars", b"\xff*")
    add_model(top / "elsewhere", "linked", b"~")
    (mounted / "waves").symlink_to(top / "elsewhere" / "linked")
    add_model(top / "elsewhere", "other", b"!")
    (mounted / "stars" / "hidden").symlink_to(top / "elsewhere" / "other")
    add_model(mounted / "stars" / "old", "1", b"?")
    with srv_server(served) as server:
        server.mounted = mounted
        yield server


def ask(server, name, form):
    given = "AAE=" if isinstance(form, Json) else b"\x00\x01"
    return form.infer(server, name, InferenceRequest([Tensor("picture", [given], "BYTES")]))


def test_the_log_says_that_the_root_gives_the_default_runtime(server):
    assert (
        "model-settings.json gives 'models.Framed' as the default runtime, for the other models that name"
        in server.logs
    )
    assert "Model 'stars' has 'models.PictureCodec' as its codec of 'picture'." in server.logs


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_mounted_model_is_answered_by_the_default_runtime_through_its_codec_on_both_faces(server, form):
    answer = ask(server, "stars", form)

    assert answer["output"].tolist() == [b"/yoAAf8q" if isinstance(form, Json) else b"\xff*\x00\x01\xff*"]


@pytest.mark.parametrize("form", ["json", "grpc"])
def test_a_folder_that_the_operator_has_linked_is_a_model_with_follow_links(server, form):
    given = "AAE=" if form == "json" else b"\x00\x01"
    asked = InferenceRequest([Tensor("picture", [given], "BYTES")])

    answer = server.infer("waves", asked, form=form)

    assert answer["output"].tolist() == [b"fgABfg==" if form == "json" else b"~\x00\x01~"]


def test_the_log_warns_of_settings_that_lie_too_deep_and_of_links_inside_of_a_model(server):
    deep = f"{server.mounted}/stars/old/1/model-settings.json lies deeper than <name>/<version>/ and is passed over."
    link = f"{server.mounted}/stars/hidden is a link that leaves {server.mounted}, and is passed over."
    warnings = [line for line in server.logs.splitlines() if " WARNING " in line]
    for told in (deep, link):
        assert any(told in line for line in warnings)
    assert server.metadata("stars", "hidden").status == 404


def test_a_model_that_is_mounted_later_is_loaded_in_each_worker(server):
    add_model(server.mounted, "dashes", b"--")

    assert server.post("/v2/repository/models/dashes/load", {}).status == 200

    answers = [ask(server, "dashes", FORMS[0]) for _ in range(8)]  # the kernel spreads connections over the workers
    assert {bytes(answer["output"].tolist()[0]) for answer in answers} == {b"LS0AAS0t"}
