import json

import pytest
from falcon import testing
from openapi_schema_validator import OAS30Validator
from openapi_spec_validator import validate

from srv.discovery import discover
from srv.messages import ModelMetadata, ServerMetadata
from srv.rest.openapi import document as document_of
from srv.serve.assembly import assemble
from srv.settings import ServerSettings

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
    assert taken == {"$ref": "#/components/schemas/InferenceRequest.m"}
    x, words = described["components"]["schemas"]["InferenceRequest.m"]["properties"]["inputs"]["items"]["anyOf"]
    assert x["properties"]["name"]["enum"] == ["x"]
    assert x["example"] == {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 1, 1, 1]}
    assert words["properties"]["datatype"]["enum"] == ["BYTES"]
    given = described["components"]["schemas"]["InferenceResponse.m"]["properties"]["outputs"]["items"]
    assert given["properties"]["data"]["anyOf"][0]["items"]["anyOf"][0] == {
        "type": "integer",
        "minimum": -128,
        "maximum": 127,
    }


def test_models_whose_names_differ_in_a_sign_only_are_told_apart(app):
    models = [ModelMetadata(name, (), "python", (), (), {}) for name in ("a-b", "a_b", "a.b", "model")]
    validate(described := document_of(ServerMetadata("srv", "1", ()), app.routes, models))
    assert "/v2/models/a.b/infer" in described["paths"]


@pytest.mark.parametrize("path", [EVERYTHING, ONE])
def test_what_is_told_is_as_the_description_says(app, path):
    client, described = testing.TestClient(app), document(app, path)
    for template, item in described["paths"].items():
        if "get" in item and (template == "/" or template.startswith("/v2")):
            schema = item["get"]["responses"]["200"]["content"]["application/json"]["schema"]
            assert "$ref" in schema or template.endswith("dataplane.json"), template
            answer = client.simulate_get(template.replace("{model}", "m").replace("{version}", "3"))
            OAS30Validator({**schema, "components": described["components"]}).validate(answer.json)


def test_what_the_description_gives_as_example_is_answered(app):
    schemas = document(app)["components"]["schemas"]
    x = schemas["InferenceRequest.m"]["properties"]["inputs"]["items"]["anyOf"][0]["example"]
    answer = testing.TestClient(app).simulate_post("/v2/models/m/infer", json={"inputs": [x]})
    assert answer.status_code == 200


def test_the_description_names_the_prefix_and_one_of_nobody_is_404(app):
    assert document(app)["servers"] == [{"url": "/below"}]
    assert document(app, "/v2/models/no/docs/dataplane.json")["code"] == "NOT_FOUND"
