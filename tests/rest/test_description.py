import base64
import json
import re
from collections.abc import Iterator

import pytest
from falcon import testing
from openapi_schema_validator import OAS30Validator
from openapi_spec_validator import validate

from srv.discovery import discover
from srv.messages import InferenceRequest, InferenceResponse, ModelMetadata, ServerMetadata
from srv.model_settings import Spec
from srv.rest.openapi import document as document_of
from srv.runtime import Runtime
from srv.serve.assembly import assemble
from srv.settings import ServerSettings
from srv.testing import model

CODE = """
import numpy as np
from numpy.typing import NDArray
from srv import Runtime
class Model(Runtime):
    def predict(self, x: NDArray[np.float32], words: list[str] | None = None) -> NDArray[np.int8]:
        return x.astype(np.int8)
"""
EVERYTHING = "/v2/docs/dataplane.json"
ONE = "/v2/models/m/docs/dataplane.json"


class Page:
    """A plugin's own."""

    def on_get(self, req, resp, place):
        """Nothing."""


@pytest.fixture
def app(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "models.py").write_text(CODE)
    settings = {"implementation": "models.Model", "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]}
    (tmp_path / "m" / "model-settings.json").write_text(json.dumps(settings | {"parameters": {"version": "3"}}))
    server = assemble(ServerSettings(folder=tmp_path, access_log=False, root_path="/below"), discover())
    server.app.add_route("/plugin/{place:int}", Page())
    server.load_models(lambda _: None, server.wanted())
    yield server.app
    server.close()


def document(app, path=EVERYTHING):
    return testing.TestClient(app).simulate_get(path).json


@pytest.mark.parametrize("path", [EVERYTHING, ONE, "/v2/models/m/versions/3/docs/dataplane.json"])
def test_the_description_is_openapi(app, path):
    validate(document(app, path))


def test_every_route_of_the_app_stands_in_the_description_with_every_method(app):
    described = document(app)["paths"]
    for template, resource in app.routes:
        path = template.replace(":int", "")
        methods = {name[3:] for name in dir(resource) if name.startswith("on_")} - {"head"}
        assert methods <= set(described[path]), path
    assert len(described) > len(app.routes)


def test_the_routes_that_the_description_names_are_there(app):
    client = testing.TestClient(app)
    for path, item in document(app, ONE)["paths"].items():
        for method in set(item) - {"parameters"}:
            assert client.simulate_request(method.upper(), path).status_code not in (404, 405), path


def test_a_models_own_tensors_are_described(app):
    described = document(app)
    taken = described["paths"]["/v2/models/m/infer"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert taken == {"$ref": "#/components/schemas/InferenceRequestM"}
    x, words = described["components"]["schemas"]["InferenceRequestM"]["properties"]["inputs"]["items"]["anyOf"]
    assert x["properties"]["name"]["enum"] == ["x"]
    assert x["example"] == {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 1, 1, 1]}
    assert words["properties"]["datatype"]["enum"] == ["BYTES"]
    given = described["components"]["schemas"]["InferenceResponseM"]["properties"]["outputs"]["items"]
    assert given["properties"]["data"]["anyOf"][0]["items"]["anyOf"][0] == {
        "type": "integer",
        "minimum": -128,
        "maximum": 127,
    }


def test_models_whose_names_differ_in_case_and_signs_only_are_told_apart(app):
    names = ("a-b", "a_b", "a.b", "AB", "ab2", "model", "_")
    models = [ModelMetadata(name, (), "python", (), (), {}, stream_inputs=(Spec(name="x"),)) for name in names]

    validate(described := document_of(ServerMetadata("srv", "1", ()), app.routes, models))

    assert "/v2/models/a.b/infer" in described["paths"]
    operations = [
        item[method]["operationId"] for item in described["paths"].values() for method in set(item) - {"parameters"}
    ]
    for given in (operations, [*described["components"]["schemas"]]):
        assert len({name.replace("_", "").lower() for name in given}) == len(given)
        assert all(re.fullmatch(r"[A-Za-z0-9_]+", name) for name in given)
    endings = {
        kind: {name.removeprefix(kind) for name in described["components"]["schemas"] if name.startswith(kind)} - {""}
        for kind in ("InferenceRequest", "InferenceResponse", "StreamRequest")
    }
    assert [*endings.values()] == [{"AB", "AB2", "AB3", "AB4", "Ab22", "Model", "2"}] * 3


def test_an_answer_of_infer_is_described_as_json_alone(app):
    described = document(app)
    for place in ("{model}", "m"):
        infer = described["paths"][f"/v2/models/{place}/infer"]["post"]
        assert [*infer["responses"]["200"]["content"]] == ["application/json"]
        assert "binary data" in infer["description"]


def test_a_parameter_is_described_as_an_integer_too(app):
    described = document(app)["components"]["schemas"]["Parameters"]["additionalProperties"]["anyOf"]
    assert [each["type"] for each in described] == ["string", "integer", "number", "boolean"]


class Streams(Runtime):
    """Answers with streams only."""

    def predict_stream(self, words: list[str]) -> Iterator[list[str]]:
        yield words


@pytest.mark.parametrize("path", [EVERYTHING, ONE])
@pytest.mark.parametrize("name", ["Strict", "Takes", "Text", "Streams"])
def test_operations_that_a_model_has_not_are_not_described(srv_client, name, path):
    has = {
        "Strict": {"infer"},
        "Takes": {"infer", "generate"},
        "Text": {"infer", "infer_stream", "generate", "generate_stream"},
        "Streams": {"infer_stream"},
    }
    client = srv_client(model(globals()[name], name="m"))
    described = client.get(path).json
    validate(described)
    ends = ("infer", "infer_stream", "generate", "generate_stream")
    assert {end for end in ends if f"/v2/models/m/{end}" in described["paths"]} == has[name]


def test_events_are_described_with_a_schema(srv_client):
    described = srv_client(model(Text, name="m")).get(EVERYTHING).json
    for end in ("infer_stream", "generate_stream"):
        content = described["paths"][f"/v2/models/m/{end}"]["post"]["responses"]["200"]["content"]
        assert content == {"text/event-stream": {"schema": {"type": "string"}}}


@pytest.mark.parametrize("path", [EVERYTHING, ONE])
def test_what_is_told_is_as_the_description_says(app, path):
    client, described = testing.TestClient(app), document(app, path)
    for template, item in described["paths"].items():
        if "get" in item and (template == "/" or template.startswith("/v2")):
            content = item["get"]["responses"]["200"]["content"]
            place = template.replace("{model}", "m").replace("{version}", "3").replace("{file}", "page.css")
            answer = client.simulate_get(place)
            if "application/json" not in content:  # a page for browsers
                assert answer.status_code == 200
                assert answer.headers["content-type"].partition(";")[0] in content or "*/*" in content
                continue
            schema = content["application/json"]["schema"]
            assert "$ref" in schema or template.endswith(".json"), template
            OAS30Validator({**schema, "components": described["components"]}).validate(answer.json)


def test_what_the_description_gives_as_example_is_answered(app):
    schemas = document(app)["components"]["schemas"]
    x = schemas["InferenceRequestM"]["properties"]["inputs"]["items"]["anyOf"][0]["example"]
    answer = testing.TestClient(app).simulate_post("/v2/models/m/infer", json={"inputs": [x]})
    assert answer.status_code == 200


def test_the_description_names_the_prefix_and_one_of_nobody_is_404(app):
    assert document(app)["servers"] == [{"url": "/below"}]
    assert document(app, "/v2/models/no/docs/dataplane.json")["code"] == "NOT_FOUND"


class Takes(Runtime):
    """Takes what the protocol leaves to runtimes."""

    any_input_name = missing_values = nested_parameters = True

    def predict(self, words: list[str]) -> list[str]:
        return words


class Text(Runtime):
    """Takes text to generate from."""

    def predict(self, text_input: list[str]) -> list[str]:
        return text_input

    def predict_stream(self, text_input: list[str]) -> Iterator[list[str]]:
        yield text_input


class Strict(Takes):
    any_input_name = missing_values = nested_parameters = False


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": [{"name": "input-0", "datatype": "BYTES", "shape": [1], "data": ["a"]}]},
        {"inputs": [{"name": "words", "datatype": "BYTES", "shape": [1], "data": [None]}]},
        {"inputs": [], "parameters": {"a": [1, {"b": None}]}},
        {"inputs": [{"name": "words", "datatype": "BYTES", "shape": [1], "data": ["a"], "parameters": {"a": []}}]},
        {"inputs": [], "outputs": [{"name": "output", "parameters": {"a": {}}}]},
    ],
    ids=["any name", "null", "nested", "nested of an input", "nested of an output"],
)
def test_what_a_runtime_takes_is_described_and_what_another_refuses_is_not(srv_client, body):
    for runtime, taken in ((Takes, True), (Strict, False)):
        client = srv_client(model(runtime, name="m"))
        described = client.get(EVERYTHING).json
        validate(described)
        schema = {**described["components"]["schemas"]["InferenceRequestM"], "components": described["components"]}
        assert OAS30Validator(schema).is_valid(body) is taken


@pytest.mark.parametrize(
    "body",
    [
        {"text_input": "a", "max_tokens": 5, "stop": ["a"]},
        {"inputs": [{"name": "text_input", "datatype": "BYTES", "shape": [1], "data": ["a"]}]},
    ],
    ids=["with keys beside the text", "in the form of infer"],
)
def test_both_forms_of_a_body_to_generate_are_described(srv_client, body):
    described = srv_client(model(Text, name="m")).get(EVERYTHING).json
    posted = described["paths"]["/v2/models/m/generate"]["post"]
    schema = posted["requestBody"]["content"]["application/json"]["schema"]

    assert OAS30Validator({**schema, "components": described["components"]}).is_valid(body)
    assert [each["$ref"].rpartition("/")[2] for each in schema["anyOf"]] == ["GenerateRequest", "InferenceRequestM"]
    answer = posted["responses"]["200"]["content"]["application/json"]["schema"]
    assert [each["$ref"].rpartition("/")[2] for each in answer["anyOf"]] == ["GenerateResponse", "InferenceResponseM"]


def element_of(tensor):
    """The schema of one element of a tensor's data."""
    data = tensor["properties"]["data"]
    return data.get("anyOf", [data])[0]["items"]["anyOf"][0]


class Octets(Runtime):
    """Takes and gives plain bytes."""

    def predict(self, image: bytes, more: list[bytes] | None = None, words: list[str] | None = None) -> list[bytes]:
        return [image, *(more or [])]


def test_a_description_says_which_tensors_are_base64_in_json(srv_client):
    client = srv_client(model(Octets, name="m"))
    schemas = client.get(EVERYTHING).json["components"]["schemas"]
    image, more, words = schemas["InferenceRequestM"]["properties"]["inputs"]["items"]["anyOf"]
    output = schemas["InferenceResponseM"]["properties"]["outputs"]["items"]

    for tensor in (image, more, output):
        assert tensor["description"] == "Of content type 'base64'; each element is base64 in JSON."
        assert element_of(tensor) == {"type": "string", "format": "byte"}
    assert words["description"] == "Of content type 'str'."
    assert element_of(words) == {"type": "string"}
    answer = client.post("/v2/models/m/infer", {"inputs": [image["example"]]})
    assert (answer.status, answer.json["outputs"][0]["data"]) == (200, [base64.b64encode(b"text").decode()])


class Both(Runtime):
    """Takes other inputs for a stream."""

    def predict(self, text: str, exact: bool = False) -> str:
        return text

    def predict_stream(self, text: str, length: int) -> Iterator[str]:
        yield text * length


def test_requests_for_a_stream_are_described_and_checked_by_predict_streams_own_signature(srv_client):
    client = srv_client(model(Both, name="m"))
    described = client.get(EVERYTHING).json
    validate(described)
    text = {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["a"]}
    exact = {"name": "exact", "datatype": "BOOL", "shape": [1], "data": [True]}
    length = {"name": "length", "datatype": "INT64", "shape": [1], "data": [2]}

    for end, taken, refused in (("infer", exact, length), ("infer_stream", length, exact)):
        posted = described["paths"][f"/v2/models/m/{end}"]["post"]["requestBody"]["content"]["application/json"]
        schema = {**posted["schema"], "components": described["components"]}
        for other in (taken, refused):
            body = {"inputs": [text, other]}
            answer = client.post(f"/v2/models/m/{end}", body)
            assert (answer.status == 200) is (other is taken)
            assert OAS30Validator(schema).is_valid(body) is (other is taken)
        assert f"Input '{refused['name']}' is unknown; the model takes {taken['name']}, text." in answer.error


X = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4], "parameters": {"p": "q"}}
INFER = {"id": "1", "parameters": {"p": "q"}, "inputs": [X], "outputs": [{"name": "output", "parameters": {"p": "q"}}]}
WORDS = {"name": "text_input", "datatype": "BYTES", "shape": [1], "data": ["a"], "parameters": {"p": "q"}}
GENERATE = {"text_input": "a", "id": "1", "parameters": {"p": "q"}}
#: Path in the description, the path that is asked, a body with everything that is optional.
FULL_BODIES = [
    ("/v2/models/m/infer", "m", INFER),
    ("/v2/models/{model}/infer", "m", INFER),
    ("/v2/models/text/infer", "text", {**INFER, "inputs": [WORDS], "outputs": [{"name": "text_output"}]}),
    ("/v2/models/text/generate", "text", GENERATE),
    ("/v2/models/{model}/generate", "text", {**INFER, "inputs": [WORDS], "outputs": []}),
    ("/v2/models/{model}/infer_stream", "text", {**INFER, "inputs": [WORDS], "outputs": None}),
    ("/v2/models/{model}/generate_stream", "text", GENERATE),
    ("/v2/repository/index", "", {"ready": True}),
    ("/v2/repository/models/{model}/load", "text", {"parameters": {"p": "q"}}),
]
NOTHINGS = [None, "", [], {}, 0, False, [None], [[]], 1.5]
OPTIONAL = {"id", "parameters", "outputs", "ready", "p"}


def optional_places(value, at=()):
    """Yield the way to each field of a body that need not be there, and to the body itself."""
    if not at or at[-1] in OPTIONAL:
        yield at
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from optional_places(value[key], (*at, key))


def replaced(value, at, new):
    """The body with something else at a place; without it where that is `...`."""
    if not at:
        return new
    key, *rest = at
    if not rest and new is ...:
        kept = [(other, value[other]) for other in value if other != key]
        return dict(kept)
    others = dict(value) if isinstance(value, dict) else list(value)
    others[key] = replaced(value[key], rest, new)
    return others


class Shout(Runtime):
    def predict(self, text_input: list[str]) -> dict[str, list[str]]:
        return {"text_output": text_input}

    def predict_stream(self, text_input: list[str]) -> Iterator[list[str]]:
        yield text_input


@pytest.mark.parametrize("path, name, body", FULL_BODIES, ids=[path for path, *_ in FULL_BODIES])
def test_what_stands_for_nothing_is_taken_where_the_description_says_so_and_nowhere_else(srv_client, path, name, body):
    class M(Runtime):
        def predict(self, request: InferenceRequest) -> InferenceResponse:
            return InferenceResponse([request.inputs[0].named("output")])

    client = srv_client(
        model(M, name="m", inputs=[{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]), model(Shout, name="text")
    )
    described = client.get(EVERYTHING).json
    schema = described["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    validator = OAS30Validator({**schema, "components": described["components"]})

    for at in optional_places(body):
        for new in [*NOTHINGS, ...] if at else NOTHINGS:
            asked = replaced(body, at, new)
            answer = client.post(path.replace("{model}", name), asked)
            assert (answer.status < 400) is validator.is_valid(asked), (at, new, answer)
            assert answer.status < 500, (at, new, answer)
