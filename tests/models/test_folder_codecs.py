"""Codecs in a model's own folder: they count for that model alone, on both faces."""

from base64 import b64encode
from textwrap import dedent

import pytest

from srv import InferenceRequest, Runtime, Tensor
from srv.errors import LoadFailed
from srv.testing import Client, isolated_plugins, model
from srv.testing.transports import FORMS, Json

COLOURS = """
    from typing import NamedTuple
    from srv import InputCodec, InvalidInput, Tensor

    class Colour(NamedTuple):
        name: str

    class ColourCodec(InputCodec):
        content_type = "colour"
        type_hint = list[Colour]
        datatype = "BYTES"

        def can_encode(self, value):
            return isinstance(value, list) and all(isinstance(each, Colour) for each in value)

        def decode(self, tensor):
            if any(each == b"grey" for each in tensor.data):
                raise InvalidInput("Grey is no colour.")
            return [Colour(each.decode()) for each in tensor.data]

        def encode(self, name, value):
            return Tensor(name, [each.name for each in value], "BYTES", parameters={"content_type": self.content_type})
"""
BY_HINT = (
    COLOURS
    + """
    from srv import Runtime

    class Louder(Runtime):
        def predict(self, x: list[Colour]) -> list[Colour]:
            return [Colour(each.name.upper()) for each in x]
"""
)
#: Takes the request as it is, so that only content types choose a codec.
BY_CONTENT_TYPE = """
    from srv import InferenceRequest, Runtime

    class Names(Runtime):
        def predict(self, request: InferenceRequest):
            return [getattr(each, "name", "no colour") for each in request.decode("x")]
"""
PICTURES = """
    from srv import InputCodec, RequestCodec, Runtime, InferenceRequest, InferenceResponse, Tensor

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

    class Pair:
        def __init__(self, left, right):
            self.left, self.right = left, right

    class PairCodec(RequestCodec):
        content_type, type_hint = "pair", Pair

        def can_encode(self, value):
            return isinstance(value, Pair)

        def decode_request(self, request):
            return Pair(request["left"], request["right"])

        def encode_response(self, value):
            return InferenceResponse([Tensor("left", value.left), Tensor("right", value.right)])

    class Turned(Runtime):
        async def predict(self, picture: Picture) -> Picture:
            return Picture(picture.data[::-1])

    class Halves(Runtime):
        def predict_stream(self, picture: Picture):
            half = len(picture.data) // 2
            yield Picture(picture.data[:half])
            yield Picture(picture.data[half:])

    class Swapped(Runtime):
        def predict(self, pair: Pair) -> Pair:
            return Pair(pair.right, pair.left)
"""


def of(name, code, implementation, *, files=None, **settings):
    files = {"models.py": code, **(files or {})}
    files = {file: dedent(text) for file, text in files.items()}
    return model(name=name, implementation=implementation, files=files, **settings)


def colours(*names, content_type=None, **parameters):
    said = {"content_type": content_type} if content_type else {}
    return InferenceRequest([Tensor("x", list(names), "BYTES", parameters=said)], parameters=parameters)


@pytest.fixture(scope="module")
def client():
    colour_input = {"name": "x", "datatype": "BYTES", "shape": [-1], "parameters": {"content_type": "colour"}}
    with Client.of(
        of("hinted", BY_HINT, "models.Louder"),
        of("batched", BY_HINT, "models.Louder", max_batch_size=8),
        of("imported", "from kinds import *\n" + dedent(BY_CONTENT_TYPE), "models.Names", files={"kinds.py": COLOURS}),
        of("beside", BY_CONTENT_TYPE, "models.Names", files={"kinds.py": COLOURS}),
        of("named", BY_CONTENT_TYPE, "models.Names", files={"kinds.py": COLOURS}, codecs=["kinds.ColourCodec"]),
        of(
            "input",
            BY_CONTENT_TYPE,
            "models.Names",
            files={"kinds.py": COLOURS},
            codecs=["kinds.ColourCodec"],
            inputs=[colour_input],
        ),
        of(
            "whole",
            BY_CONTENT_TYPE,
            "models.Names",
            files={"kinds.py": COLOURS},
            codecs=["kinds.ColourCodec"],
            parameters={"content_type": "colour"},
        ),
        of("turned", PICTURES, "models.Turned"),
        of("swapped", PICTURES, "models.Swapped"),
        of("halves", PICTURES, "models.Halves"),
    ) as client:
        yield client


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@pytest.mark.parametrize("name", ["hinted", "batched"])
def test_hints_of_what_predict_takes_and_returns_choose_the_folder_s_codec(client, form, name):
    answer = form.infer(client, name, colours("red"))

    assert answer["output"].tolist() == [b"RED"]
    assert answer.response.outputs[0].parameters == {"content_type": "colour"}


@pytest.mark.parametrize("name", ["imported", "named"])
@pytest.mark.parametrize("request_", [colours("red", content_type="colour")], ids=["of the input"])
@pytest.mark.parametrize("form", ["json", "grpc"])
def test_a_content_type_of_the_request_chooses_it(client, name, request_, form):
    assert client.infer(name, request_, form=form)["output"].tolist() == [b"red"]
    whole = colours("red")
    whole.parameters = {"content_type": "colour"}
    assert client.infer(name, whole, form=form)["output"].tolist() == [b"red"]
    assert client.infer(name, colours("red"), form=form)["output"].tolist() == [b"no colour"]


@pytest.mark.parametrize("name", ["input", "whole"])
@pytest.mark.parametrize("form", ["json", "grpc"])
def test_a_content_type_of_the_settings_chooses_it(client, name, form):
    assert client.infer(name, colours("red"), form=form)["output"].tolist() == [b"red"]


@pytest.mark.parametrize("form", ["json", "grpc"])
def test_what_the_codec_refuses_is_a_400(client, form):
    answer = client.infer("hinted", colours("grey"), form=form)

    assert (answer.status, answer.error) == (400, "Grey is no colour.")


@pytest.mark.parametrize("form", ["json", "grpc"])
def test_a_module_of_the_folder_that_nobody_imports_or_names_brings_no_codec(client, form):
    answer = client.infer("beside", colours("red", content_type="colour"), form=form)

    assert answer.status == 400
    assert answer.error.startswith("No codec provides the content type 'colour'; installed: ")


def test_a_model_s_own_codecs_are_among_those_that_a_400_lists(client):
    assert "'colour'" in client.infer("named", colours("red", content_type="color")).error


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_binary_codec_of_the_folder_gets_plain_bytes_in_each_form(client, form):
    in_json = isinstance(form, Json)
    given = b64encode(b"\x89PNG") if in_json else b"\x89PNG"

    answer = form.infer(client, "turned", InferenceRequest([Tensor("picture", [given], "BYTES")]))

    assert answer["output"].tolist() == [b64encode(b"GNP\x89") if in_json else b"GNP\x89"]


@pytest.mark.parametrize("form", ["json", "grpc"])
def test_a_stream_reads_and_writes_by_the_folder_s_codec(client, form):
    given, halves = (b"iVBORw==", [b"iVA=", b"Tkc="]) if form == "json" else (b"\x89PNG", [b"\x89P", b"NG"])

    answers = client.stream("halves", InferenceRequest([Tensor("picture", [given], "BYTES")]), form=form)

    assert [answer["output"].tolist() for answer in answers] == [[half] for half in halves]


@pytest.mark.parametrize("form", ["json", "grpc"])
def test_a_request_codec_of_the_folder_reads_the_request_and_writes_the_response(client, form):
    answer = client.infer("swapped", {"left": [1.0], "right": [2.0]}, form=form)

    assert (answer["left"].tolist(), answer["right"].tolist()) == ([2.0], [1.0])


def test_metadata_and_openapi_name_the_content_type(client):
    told = client.metadata("hinted").json
    schemas = client.get("/v2/docs/dataplane.json").json["components"]["schemas"]

    assert told["inputs"][0] == {
        "name": "x", "datatype": "BYTES", "shape": [-1], "parameters": {"content_type": "colour"}
    }  # fmt: skip
    assert told["outputs"][0]["parameters"] == {"content_type": "colour"}
    picture = schemas["InferenceRequestTurned"]["properties"]["inputs"]["items"]
    assert picture["description"] == "Of content type 'picture'; each element is base64 in JSON."


# -- which class counts -----------------------------------------------------------------------------------------------


def test_a_folder_s_codec_covers_the_installed_one_of_its_content_type_for_its_model_alone(caplog):
    caplog.set_level("INFO")
    own = COLOURS.replace('"colour"', '"str"')
    lengths = BY_CONTENT_TYPE.replace('getattr(each, "name", "no colour")', "len(each)")
    with Client.of(of("own", own + lengths, "models.Names"), of("other", lengths, "models.Names")) as it:
        request = colours("red", content_type="str")
        assert it.infer("own", request)["output"].tolist() == [1]  # a Colour has one field
        assert it.infer("other", request)["output"].tolist() == [3]
    assert "Model 'own' has 'models.ColourCodec' as its codec of 'str', in place of the installed one." in caplog.text


def test_two_models_have_codecs_of_one_content_type_each_its_own():
    other = BY_HINT.replace("each.decode()", "'other ' + each.decode()")
    with Client.of(of("first", BY_HINT, "models.Louder"), of("second", other, "models.Louder")) as client:
        assert client.infer("first", colours("red"))["output"].tolist() == [b"RED"]
        assert client.infer("second", colours("red"))["output"].tolist() == [b"OTHER RED"]


def test_hints_for_arrays_stay_with_np_where_a_codec_of_the_folder_gives_arrays_too():
    code = """
        import numpy as np
        from numpy.typing import NDArray
        from srv import InputCodec, Runtime, Tensor

        class Reversed(InputCodec):
            content_type, type_hint = "reversed", np.ndarray
            def can_encode(self, value):
                return False
            def decode(self, tensor):
                return tensor.data[::-1]

        class Same(Runtime):
            def predict(self, x: NDArray[np.float64]) -> np.ndarray:
                return x
    """
    with Client.of(of("m", code, "models.Same")) as client:
        chosen = InferenceRequest([Tensor("x", [1.0, 2.0], parameters={"content_type": "reversed"})])
        assert client.infer("m", {"x": [1.0, 2.0]})["output"].tolist() == [1.0, 2.0]
        assert client.infer("m", chosen)["output"].tolist() == [2.0, 1.0]


def test_of_two_classes_with_one_content_type_the_one_that_settings_name_counts():
    two = (
        COLOURS
        + "\n    class Shades(ColourCodec):\n        def decode(self, tensor):\n            return [Colour('shade')]\n"
    )
    with Client.of(of("m", two + BY_CONTENT_TYPE, "models.Names", codecs=["models.Shades"])) as client:
        answer = client.infer("m", colours("red", content_type="colour"))
        assert answer["output"].tolist() == [b"shade"]


def test_an_abstract_class_that_codecs_extend_is_none():
    code = """
        from abc import ABC, abstractmethod
        from srv import InputCodec, Runtime

        class Base(InputCodec, ABC):
            content_type = "colour"
            @abstractmethod
            def more(self): ...

        class Colours(Base):
            type_hint = str
            def more(self): ...
            def decode(self, tensor):
                return "red"

        class M(Runtime):
            def predict(self, request):
                return request.decode("x")
    """
    with Client.of(of("m", code, "models.M")) as client:
        assert client.infer("m", colours("x", content_type="colour"))["output"].tolist() == [b"red"]


class Echo(Runtime):
    def predict(self, request: InferenceRequest):
        return [each.name for each in request.decode("x")]


def test_a_registered_runtime_has_the_codecs_that_its_settings_name():
    given = model("Echo", name="m", files={"kinds.py": dedent(COLOURS)}, codecs=["kinds.ColourCodec"])
    with isolated_plugins(runtimes={"Echo": Echo}), Client.of(given) as client:
        assert client.infer("m", colours("red", content_type="colour"))["output"].tolist() == [b"red"]


TWO = COLOURS + "\n    class Shades(ColourCodec):\n        pass\n" + BY_CONTENT_TYPE


@pytest.mark.parametrize(
    "code, codecs, why",
    [
        (TWO, [], "codecs 'models.ColourCodec' and 'models.Shades' have one content type, 'colour'. Give one of them"),
        (TWO, ["models.Colours"], "The module 'models' has no 'Colours', which the settings name."),
        (TWO, ["shades.Codec"], "The module of 'shades.Codec' is neither in the model's folder nor installed."),
        (TWO, ["models.Names"], "'models.Names' is no codec: it does not extend a class for codecs. A codec is"),
        (TWO, ["srv.InputCodec"], "'srv.InputCodec' is no codec: it has no content_type. A codec"),
        (TWO + "    thing = 1\n", ["models.thing"], "'models.thing' is no codec: it is of type int."),
        (COLOURS.replace('"colour"', "7") + BY_CONTENT_TYPE, [], "codec: its content_type is no text. A codec"),
        (
            COLOURS + "        def __init__(self, size): ...\n" + BY_CONTENT_TYPE,
            [],
            "Making the codec 'models.ColourCodec' raised TypeError: ",
        ),
    ],
    ids=["twice", "no such class", "no such module", "runtime", "no content type", "no class", "number", "arguments"],
)
def test_a_model_whose_codecs_cannot_be_used_does_not_load_and_says_why(code, codecs, why):
    with pytest.raises(LoadFailed) as failed:
        Client.of(of("m", code, "models.Names", codecs=codecs))
    assert why in str(failed.value)


def test_each_version_of_a_model_has_the_codecs_of_its_own_folder(tmp_path):
    for version, sign in (("1", "one"), ("2", "two")):
        place = tmp_path / "m" / version
        place.mkdir(parents=True)
        (place / "models.py").write_text(dedent(BY_HINT).replace("each.decode()", f"'{sign} ' + each.decode()"))
        (place / "model-settings.json").write_text('{"implementation": "models.Louder"}')
    with Client.of(tmp_path) as client:
        for version, answer in (("1", b"ONE RED"), ("2", b"TWO RED")):
            assert client.infer("m", colours("red"), version=version)["output"].tolist() == [answer]


def test_a_reload_takes_the_codec_as_its_file_is_now(tmp_path):
    (tmp_path / "models.py").write_text(dedent(BY_HINT))
    (tmp_path / "model-settings.json").write_text('{"name": "m", "implementation": "models.Louder"}')
    with Client.of(tmp_path) as client:
        assert client.infer("m", colours("red"))["output"].tolist() == [b"RED"]
        (tmp_path / "models.py").write_text(dedent(BY_HINT).replace("each.decode()", "'new ' + each.decode()"))

        assert client.post("/v2/repository/models/m/load", {}).status == 200

        assert client.infer("m", colours("red"))["output"].tolist() == [b"NEW RED"]
