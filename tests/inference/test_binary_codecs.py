"""Codecs whose natural form is bytes: base64 in JSON, plain bytes as binary data and over gRPC."""

import json
from base64 import b64encode
from typing import Any, ClassVar, NamedTuple

import pytest

from srv import InferenceRequest, InputCodec, InvalidInput, Runtime, Spec, Tensor
from srv.testing import Client, assert_codec_round_trips, isolated_plugins, model
from srv.testing.transports import FORMS, Json

RAW = [form for form in FORMS if not isinstance(form, Json)]
#: Bytes that are no text, bytes that are base64 too, and none.
GIVEN = [b"\x89PNG\xff", b"aGVsbG8=", b""]


class Picture(NamedTuple):
    data: bytes


class PictureCodec(InputCodec):
    content_type: ClassVar[str] = "picture"
    type_hint: ClassVar[Any] = list[Picture]
    datatype: ClassVar[str | None] = "BYTES"
    binary: ClassVar[bool] = True

    def can_encode(self, value):
        return isinstance(value, list) and bool(value) and all(isinstance(each, Picture) for each in value)

    def decode(self, tensor):
        if tensor.datatype != "BYTES" or len(tensor.shape) != 1:
            raise InvalidInput(f"Tensor '{tensor.name}' holds no pictures.")
        return [Picture(element) for element in tensor.data]

    def encode(self, name, value):
        return Tensor(name, [each.data for each in value], "BYTES", parameters={"content_type": self.content_type})


class Turned(Runtime):
    """Turns pictures round, as a hint has it."""

    def predict(self, x: list[Picture]) -> list[Picture]:
        return [Picture(each.data[::-1]) for each in x]


class Lengths(Runtime):
    """Tells how long the bytes are that a codec gives, and those of the array itself."""

    def predict(self, x: list[bytes], request: InferenceRequest):
        return {"bytes": [len(each) for each in x], "array": [len(each) for each in request["x"]]}


class Takes(Runtime):
    """Takes the request as it is, whose content type its settings say."""

    def predict(self, request: InferenceRequest):
        return {"lengths": [len(each.data) for each in request.decode("x")]}


class Captions(Runtime):
    def predict(self, text_input: str, x: list[Picture], y: bytes = b""):
        return f"{text_input} {[each.data for each in x]} {y}"


class Streams(Runtime):
    def predict_stream(self, x: list[Picture]):
        for each in x:
            yield [each]


@pytest.fixture(scope="module")
def client():
    with (
        isolated_plugins(codecs=[PictureCodec]),
        Client.of(
            model(Turned),
            model(Turned, name="batched", max_batch_size=8),
            model(Lengths),
            model(Captions),
            model(Takes, name="of-model", parameters={"content_type": "picture"}),
            model(
                Takes,
                name="of-input",
                inputs=[{"name": "x", "datatype": "BYTES", "shape": [-1], "parameters": {"content_type": "picture"}}],
            ),
            model(
                Lengths,
                name="strict",
                inputs=[{"name": "x", "datatype": "BYTES", "shape": [-1], "parameters": {"content_type": "base64"}}],
            ),
            model(Takes, name="open"),
            model(Streams),
        ) as client,
    ):
        yield client


def named(data, content_type=None):
    return InferenceRequest(
        [Tensor("x", data, "BYTES", parameters={"content_type": content_type} if content_type else {})]
    )


def in_base64(data):
    return [b64encode(each) for each in data]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@pytest.mark.parametrize("name", ["Turned", "batched"])
def test_a_binary_codec_gets_and_gives_plain_bytes_in_each_form(client, form, name):
    answer = form.infer(client, name, named(GIVEN, "picture"))

    assert answer["output"].tolist() == [each[::-1] for each in GIVEN]
    assert answer.response.outputs[0].parameters == {"content_type": "picture"}


def test_what_is_on_the_wire_is_base64_in_json(client):
    asked = {"inputs": [{"name": "x", "datatype": "BYTES", "shape": [2], "data": ["iVBORw==", ""]}]}

    (output,) = client.post("/v2/models/Turned/infer", asked).json["outputs"]

    assert output["data"] == [b64encode(b"GNP\x89").decode(), ""]
    assert output["parameters"] == {"content_type": "picture"}


def test_frames_of_a_stream_are_base64_too(client):
    asked = {"inputs": [{"name": "x", "datatype": "BYTES", "shape": [1], "data": ["/w=="]}]}

    answer = client.post("/v2/models/Streams/infer_stream", asked)

    assert json.loads(answer.body.removeprefix(b"data: "))["outputs"][0]["data"] == ["/w=="]


@pytest.mark.parametrize("name", ["of-model", "of-input", "open"])
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_request_and_settings_choose_a_binary_codec_as_a_hint_does(client, form, name):
    answer = form.infer(client, name, named(GIVEN, "picture"))

    assert answer["lengths"].tolist() == [5, 8, 0]


@pytest.mark.parametrize("name", ["of-model", "of-input"])
def test_settings_choose_it_where_the_request_says_nothing(client, name):
    in_json = {"inputs": [{"name": "x", "datatype": "BYTES", "shape": [1], "data": ["iVBORw=="]}]}

    assert client.post(f"/v2/models/{name}/infer", in_json).json["outputs"][0]["data"] == [4]
    for form in RAW:
        assert form.infer(client, name, named([b"\x89PNG"]))["lengths"].tolist() == [4]


@pytest.mark.parametrize(
    "data, shape, place",
    [
        (["?"], [1], "[0]"),
        (["QQ==", "QQ"], [2], "[1]"),
        (["QQ==\n"], [1], "[0]"),
        ([["QQ==", "QR=="]], [1, 2], "[0, 1]"),
    ],
    ids=["no letter of it", "no padding", "a line's end", "bits that are left over"],
)
def test_what_is_no_base64_in_json_is_a_400_that_names_the_element(client, data, shape, place):
    answer = client.post(
        "/v2/models/Turned/infer", {"inputs": [{"name": "x", "datatype": "BYTES", "shape": shape, "data": data}]}
    )

    assert (answer.status, answer.code) == (400, "INVALID_INPUT")
    assert answer.error == f"inputs[0].data{place}: expected base64, with the standard alphabet and padding."


# -- list[bytes] ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", RAW, ids=lambda form: form.name)
def test_a_hint_of_bytes_takes_plain_bytes_where_the_form_can_say_them(client, form):
    answer = form.infer(client, "Lengths", named(GIVEN))

    assert answer["bytes"].tolist() == answer["array"].tolist() == [5, 8, 0]


def test_a_hint_of_bytes_takes_base64_in_json(client):
    answer = Json().infer(client, "Lengths", named(in_base64(GIVEN)))

    assert answer["bytes"].tolist() == answer["array"].tolist() == [5, 8, 0]


@pytest.mark.parametrize("name", ["Lengths", "strict"])
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_content_type_base64_means_base64_in_each_form(client, form, name):
    answer = form.infer(client, name, named(in_base64(GIVEN), "base64"))

    assert answer["bytes"].tolist() == [5, 8, 0]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_what_is_no_base64_is_a_400_in_each_form_where_the_request_says_base64(client, form):
    answer = form.infer(client, "Lengths", named([b"QQ==", b"no!"], "base64"))

    assert answer.status == 400
    assert "element 1 is not base64" in answer.error


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_settings_that_say_base64_mean_base64_in_each_form(client, form):
    assert form.infer(client, "strict", named(in_base64(GIVEN)))["bytes"].tolist() == [5, 8, 0]


# -- what the metadata says -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, input_type, output_type",
    [("Turned", "picture", "picture"), ("Lengths", "base64", None), ("of-input", "picture", None)],
)
def test_the_metadata_tell_content_types(client, name, input_type, output_type):
    told = client.metadata(name).json

    assert told["inputs"][0]["parameters"] == {"content_type": input_type}
    assert [each.get("parameters") for each in told["outputs"]] == (
        [{"content_type": output_type}] if output_type else []
    )


def test_inputs_that_nothing_else_is_said_of_are_told_as_np():
    class Arrays(Runtime):
        def load(self):
            self.inputs = [Spec("FP32", (-1,), "y")]

        def predict(self, request: InferenceRequest): ...

    with Client.of(model(Arrays)) as client:
        assert client.metadata("Arrays").json["inputs"][0]["parameters"] == {"content_type": "np"}


def test_the_conformance_kit_knows_binary_codecs():
    assert_codec_round_trips(
        PictureCodec,
        values=[[Picture(each) for each in GIVEN]],
        wrong=[Tensor("x", [1]), Tensor("x", [["a"]])],
    )


def element_schemas(tensor):
    data = tensor["properties"]["data"]
    return data.get("anyOf", [data])[0]["items"]["anyOf"]


def test_the_description_says_that_tensors_of_a_binary_codec_are_base64_in_json(client):
    schemas = client.get("/v2/docs/dataplane.json").json["components"]["schemas"]
    given = [schemas[f"InferenceRequest{name}"]["properties"]["inputs"]["items"] for name in ("Turned", "OfInput")]

    for tensor in (*given, schemas["InferenceResponseTurned"]["properties"]["outputs"]["items"]):
        assert tensor["description"] == "Of content type 'picture'; each element is base64 in JSON."
        assert {"type": "string", "format": "byte"} in element_schemas(tensor)


@pytest.mark.parametrize("beside", [True, False], ids=["beside", "in-parameters"])
def test_a_binary_codec_takes_base64_at_generate_as_in_all_json(client, beside):
    given = {"x": [b64encode(each).decode() for each in GIVEN], "y": b64encode(GIVEN[0]).decode()}

    answer = client.post(
        "/v2/models/Captions/generate", {"text_input": "a"} | (given if beside else {"parameters": given})
    )

    assert answer.json["text_output"] == f"a {GIVEN} {GIVEN[0]}"


def test_what_is_not_base64_is_refused_at_generate(client):
    answer = client.post("/v2/models/Captions/generate", {"text_input": "a", "x": ["é"]})

    assert (answer.status, answer.error) == (400, "x.data[0]: expected base64, with the standard alphabet and padding.")
