"""The plugin docs, through the kit alone; what a browser makes of it is tried in tests/page."""

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from openapi_spec_validator import validate

from srv import InferenceRequest, InferenceResponse, Runtime
from srv.testing import model

PAGES = ["/v2/docs", "/v2/docs/", "/v2/models/Doubler/docs", "/v2/models/Doubler/versions/1/docs"]
FILES = [file for file in files("srv_docs").joinpath("page").iterdir() if not file.name.endswith(".html")]
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"}
KEY = "correct horse battery staple"
KEYS = {"keys": {"ci": KEY}}


class Doubler(Runtime):
    def predict(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        return 2 * x


class Words(Runtime):
    def predict(self, text: list[str], times: int = 1) -> list[str]:
        return [each * times for each in text]

    def predict_stream(self, text: list[str]) -> Iterator[list[str]]:
        yield from ([word] for word in text[0].split())


class Anything(Runtime):
    def predict(self, request: InferenceRequest) -> InferenceResponse:
        return InferenceResponse([tensor.named(f"{tensor.name}_again") for tensor in request.inputs])


@pytest.fixture
def made(srv_client, isolated_plugins):
    isolated_plugins()
    return srv_client


@pytest.mark.parametrize("path", PAGES)
def test_srv_http_routes_brings_a_page_that_loads_nothing_from_elsewhere(made, path):
    answer = made(Doubler).get(path)

    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["content-security-policy"].startswith("default-src 'self';")
    assert answer.headers["x-content-type-options"] == "nosniff"
    text = answer.body.decode()
    assert not re.search(r"<script(?![^>]*\ssrc=)|\sstyle=|\son\w+=|<style|//", text), "inline script, style or a host"


@pytest.mark.parametrize("path", PAGES)
def test_the_pages_links_lead_to_its_files_below_whatever_prefix(made, path):
    client = made(Doubler, settings={"root_path": "/prefix"})
    for place in (path, f"/prefix{path}"):
        links = re.findall(r'(?:href|src)="([^"#]+)"', client.get(place).body.decode())
        assert len(links) == 4
        for link in links:
            ends = f"https://host/outer{place}".split("/")[:-1] + link.split("/")
            while ".." in ends:
                at = ends.index("..")
                del ends[at - 1 : at + 1]
            found = "/".join(ends).removeprefix("https://host/outer")
            assert client.get(found).status == 200, found


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_each_file_of_the_page_is_served_with_its_type_and_kept_by_its_content(made, file):
    client = made(Doubler)
    answer = client.get(f"/v2/docs/page/{file.name}")

    types = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}
    assert answer.headers["content-type"] == types[file.name.rpartition(".")[2]]
    assert answer.body == file.read_bytes()
    again = client.get(f"/v2/docs/page/{file.name}", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status, again.body) == (304, b"")


def test_the_page_is_below_60_kb_with_all_its_files():
    assert sum(len(file.read_bytes()) for file in files("srv_docs").joinpath("page").iterdir()) < 60_000


def test_a_file_that_the_page_has_not_is_404(made):
    client = made(Doubler)
    for name in ("nothing.js", "page.html", "..%2fresources.py", "%2e%2e"):
        assert client.get(f"/v2/docs/page/{name}").code == "NOT_FOUND"


@pytest.mark.parametrize("file", [file for file in FILES if file.name.endswith(".js")], ids=lambda file: file.name)
def test_no_script_makes_html_or_code_of_text_nor_names_a_host(file):
    text = file.read_text()
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|\.style\b", text
    )
    assert not re.search(r"[\"'`]https?:", text)


def test_the_root_leads_browsers_to_the_page_and_tells_others_of_it(made):
    client = made(Doubler)
    answer = client.get("/", headers=BROWSER)
    assert (answer.status, answer.headers["location"]) == (303, "v2/docs")
    for accept in ({}, {"Accept": "*/*"}, {"Accept": "application/json, text/html;q=0.5"}):
        other = client.get("/", headers=accept)
        assert (other.status, other.json["docs"], other.headers["vary"]) == (200, "/v2/docs", "Accept")


def test_the_root_leads_below_a_known_prefix(made):
    client = made(Doubler, settings={"root_path": "/prefix"})
    assert client.get("/prefix", headers=BROWSER).headers["location"] == "/prefix/v2/docs"
    assert client.get("/").json["docs"] == "/prefix/v2/docs"


def test_plugins_disable_turns_the_page_off(made):
    client = made(Doubler, settings={"plugins": {"disable": ["docs"]}})
    for path in (*PAGES, "/v2/docs/server.json", "/v2/docs/page/page.js"):
        assert client.get(path).status == 404
    answer = client.get("/", headers=BROWSER)
    assert (answer.status, "docs" in answer.json) == (200, False)
    assert client.get("/v2/docs/dataplane.json").status == 200


def test_srv_openapi_says_which_routes_are_pages(made):
    client = made(Doubler)
    for path in ("/v2/docs/dataplane.json", "/v2/models/Doubler/docs/dataplane.json"):
        document = client.get(path).json
        validate(document)
    content = document["paths"]["/v2/models/Doubler/docs"]["get"]["responses"]["200"]["content"]
    assert [*content] == ["text/html"]


def test_what_holds_nothing_of_the_server_needs_no_key_and_all_else_does(made):
    client = made(Doubler, settings=KEYS)
    for path in (*PAGES, "/v2/models/nobody/docs", *(f"/v2/docs/page/{file.name}" for file in FILES)):
        assert client.get(path).status == 200, path
    assert client.get("/", headers=BROWSER).status == 303
    guarded = ["/", "/v2/docs/server.json", "/v2/docs/dataplane.json", "/v2/models/Doubler/docs/example.json"]
    for path in guarded:
        assert client.get(path).status == 401, path
        assert client.get(path, headers={"X-Api-Key": KEY}).status == 200, path
    assert client.get("/v2/docs", headers={"X-Api-Key": "a wrong key that is long"}).status == 401
    assert client.post("/v2/docs", b"").status == 401


def test_where_the_page_is_off_its_paths_need_a_key(made):
    client = made(Doubler, settings={**KEYS, "plugins": {"disable": ["docs"]}})
    for path in PAGES:
        assert client.get(path).status == 401
    assert client.get("/", headers=BROWSER).status == 401


@pytest.mark.parametrize("control", [True, False])
def test_the_page_is_told_whether_models_may_be_loaded(made, control):
    client = made(Doubler, settings={"model_control": control})
    assert client.get("/v2/docs/server.json").json == {"name": "srv", "model_control": control}


def example(client, path="/v2/models/m"):
    return client.get(f"{path}/docs/example.json").json


def ask(client, request):
    return client.post("/v2/models/m/infer", json.dumps(request).encode())


def test_an_example_is_made_from_declared_shapes_and_is_answered(made):
    inputs = [
        {"name": "a", "datatype": "FP32", "shape": [-1, 3]},
        {"name": "b", "datatype": "UINT8", "shape": [-1, 3, -1, -1]},
        {"name": "c", "datatype": "BOOL", "shape": [2]},
        {"name": "d", "datatype": "BYTES", "shape": [-1]},
        {"name": "e", "datatype": "INT64", "shape": [-1, -1]},
    ]
    client = made(model(Anything, name="m", inputs=inputs))

    told = example(client)

    assert told["from"] == "declared"
    shapes = {each["name"]: each["shape"] for each in told["request"]["inputs"]}
    assert shapes == {"a": [1, 3], "b": [1, 3, 32, 32], "c": [2], "d": [1], "e": [1, 4]}
    assert ask(client, told["request"]).status == 200


class Chooses(Runtime):
    def predict(self, x: np.ndarray, mode: Literal["fast", "slow"], levels: list[Literal[3, 5]]) -> str:
        return f"{mode} {levels} {x.shape}"


def test_an_example_has_every_input_that_must_come_and_values_that_the_hints_allow(made):
    client = made(model(Chooses, name="m"))
    told = example(client)["request"]
    assert {each["name"]: each["data"] for each in told["inputs"]} == {"mode": ["fast"], "levels": [3], "x": [0.5]}
    assert ask(client, told).status == 200


def test_the_first_warm_up_request_is_the_example(made):
    request = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [2], "data": [1, 2]}], "parameters": {"a": 1}}
    told = example(made(model(Doubler, name="m", warmup=[request])))
    assert (told["from"], told["request"]) == ("warmup", request)
    assert (told["answers"], told["streams"], told["inputs"][0]["shape"]) == (True, False, None)


def folder_of(place, settings=None, **others):
    (place / "m").mkdir(parents=True)
    (place / "m" / "models.py").write_text(
        "from srv import Runtime\nclass M(Runtime):\n    def predict(self, x: list[str]) -> list[str]:\n        return x\n"
    )
    (place / "m" / "model-settings.json").write_text(json.dumps({"implementation": "models.M", **(settings or {})}))
    for name, text in others.items():
        (place / "m" / f"{name}.json").write_text(text)
    return place / "m"


def test_a_request_in_the_models_folder_is_the_example(made, tmp_path):
    request = {"inputs": [{"name": "x", "datatype": "BYTES", "shape": [1], "data": ["<b>"]}]}
    told = example(made(folder_of(tmp_path, request=json.dumps(request))))
    assert (told["from"], told["request"]) == ("request.json", request)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"inputs": 3}',
        '{"inputs": [{"name": "y", "datatype": "BYTES", "shape": [1], "data": ["a"]}]}',
        "[" * 5000,
    ],
    ids=["broken", "a list", "no inputs", "another input", "deep"],
)
def test_a_file_that_is_no_request_is_passed_over(made, tmp_path, text):
    told = example(made(folder_of(tmp_path, request=text)))
    assert told["from"] == "declared"
    assert told["request"]["inputs"][0]["data"] == ["some text"]


class WithExample(Doubler):
    def load(self) -> None:
        self.example = self.settings.parameters.extra["example"]


@pytest.mark.parametrize(
    "given, data",
    [([1, 2], [1, 2]), ({"x": [3]}, [3]), ({"y": [3]}, [0.5]), (["text"], [0.5])],
    ids=["a list", "by name", "another name", "no number"],
)
def test_the_runtimes_example_is_the_models_as_far_as_it_is_a_request(made, given, data):
    client = made(model(WithExample, name="m", parameters={"extra": {"example": given}}))
    told = example(client)
    assert told["from"] == ("declared" if data == [0.5] else "runtime")
    assert told["request"]["inputs"][0]["data"] == data
    assert ask(client, told["request"]).status == 200


def test_a_stream_with_inputs_of_its_own_has_an_example_of_its_own(made):
    told = example(made(model(Words, name="m")))
    assert [each["name"] for each in told["inputs"]] == ["text", "times"]
    assert [each["name"] for each in told["stream_request"]["inputs"]] == ["text"]


def test_bytes_that_are_base64_have_an_example_that_is(made):
    inputs = [{"name": "image", "datatype": "BYTES", "shape": [-1], "parameters": {"content_type": "base64"}}]
    client = made(model(Anything, name="m", inputs=inputs))
    told = example(client)
    assert ask(client, told["request"]).status == 200
    assert "base64" in told["base64"]


def test_a_tensor_too_large_to_make_up_has_no_values(made):
    told = example(made(model(Anything, name="m", inputs=[{"name": "x", "datatype": "FP32", "shape": [1000, 1000]}])))
    assert "data" not in told["request"]["inputs"][0]


def test_the_example_of_an_unknown_model_is_404(made):
    client = made(Doubler)
    assert client.get("/v2/models/nobody/docs/example.json").code == "NOT_FOUND"
    assert client.get("/v2/models/Doubler/versions/7/docs/example.json").code == "NOT_FOUND"
