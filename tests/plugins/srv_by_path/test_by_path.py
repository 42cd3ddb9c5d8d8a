"""The plugin by_path, through the kit alone. The classes that it names stand in this file."""

from typing import Any, ClassVar

import pytest

from srv import InputCodec, InvalidInput, Runtime, Tensor
from srv.discovery import PluginBroken, PluginKind
from srv.testing import Client


class Shout(Runtime):
    def predict(self, x: list[str]) -> list[str]:
        return [word.upper() for word in x]


class Rot13(InputCodec):
    content_type: ClassVar[str] = "rot13"
    type_hint: ClassVar[Any] = bytearray

    def can_encode(self, value):
        return isinstance(value, bytearray)

    def decode(self, tensor):
        if tensor.datatype != "BYTES":
            raise InvalidInput("not text")
        return bytearray(tensor.data.reshape(-1)[0])

    def encode(self, name, value):
        return Tensor(name, [bytes(value)], parameters={"content_type": self.content_type})


class Reader(Runtime):
    def predict(self, request):
        return [request.decode("x").decode()]


HERE = __name__


def test_srv_runtimes_gives_a_class_the_name_that_settings_say(srv_client, isolated_plugins):
    isolated_plugins()
    client = srv_client({"runtime": "shout"}, settings={"by_path": {"runtimes": {"shout": f"{HERE}:Shout"}}})
    assert client.infer("model", {"x": ["hey"]})["output"].tolist() == [b"HEY"]


def test_srv_codecs_gives_a_class_the_content_type_that_settings_say(srv_client, isolated_plugins):
    isolated_plugins()
    client = srv_client(Reader, settings={"by_path": {"codecs": {"rot13": f"{HERE}:Rot13"}}})
    answer = client.infer("Reader", {"x": Tensor("x", ["uryyb"], parameters={"content_type": "rot13"})})
    assert answer["output"].tolist() == [b"uryyb"]
    assert client.assembled.plugins.find(PluginKind.CODEC, "rot13").computed_by.name == "by_path"


@pytest.mark.parametrize(
    "section, sentence",
    [
        ({"runtimes": {"shout": "nowhere"}}, r"by_path\.runtimes\.shout\.value: must be 'module:Class'"),
        ({"runtimes": {"shout": "no_such_module:Shout"}}, "srv_runtimes raised ModuleNotFoundError"),
        ({"runtimes": {"shout": "json:JSONDecoder"}}, "where a subclass of srv.Runtime is needed"),
        ({"codecs": {"other": f"{HERE}:Rot13"}}, "content_type is 'rot13', but its entry point is named 'other'"),
        ({"codecs": {"np": "srv_codecs.np:NumpyCodec"}}, "brings 'np', which srv-inference brings already"),
        ({"runtime": {}}, r"by_path\.runtime: Unknown field"),
    ],
    ids=["no place", "no module", "no runtime", "another content type", "a name of ours", "unknown key"],
)
def test_srv_settings_schema_and_names_that_lead_nowhere_end_the_start_with_a_sentence(
    isolated_plugins, section, sentence
):
    isolated_plugins()
    with pytest.raises(PluginBroken, match=sentence):
        Client.of(settings={"by_path": section})
