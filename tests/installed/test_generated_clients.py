"""Clients that others' generators make from the OpenAPI document of a running server: they are made, and they infer."""

import json
import shutil
import socket
import subprocess
import urllib.error
import urllib.request

import pytest
from servers import eventually, running

from .conftest import Environment

pytestmark = pytest.mark.installed
CODE = """
from collections.abc import Iterator
import numpy as np
from numpy.typing import NDArray
from srv import Runtime


class Double(Runtime):
    def predict(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        return 2 * x


class Shout(Runtime):
    def predict(self, text_input: list[str]) -> list[str]:
        return [text.upper() for text in text_input]

    def predict_stream(self, text_input: list[str]) -> Iterator[list[str]]:
        for word in text_input[0].split():
            yield [word.upper()]
"""
#: With openapi-python-client: a typed request, an answer, a refusal, and what a model says of itself.
WITH_MODULES = """
import sys
from made import Client
from made import models as m
from made.api.default import get_v2_models_model, post_v2_models_model_infer
from made.api.double import post_v2_models_double_infer
from made.api.shout import post_v2_models_shout_generate

client = Client(base_url=sys.argv[1], raise_on_unexpected_status=True)
x = m.InputTensor(name="x", shape=[2], datatype=m.InputTensorDatatype.FP32, data=[1, 2])
print(post_v2_models_model_infer.sync("double", client=client, body=m.InferenceRequest([x])).outputs[0].data)
whole = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [3], "data": [1, 2]}]}
refused = post_v2_models_double_infer.sync(client=client, body=m.InferenceRequestDouble.from_dict(whole))
print(type(refused).__name__, refused.code)
print(post_v2_models_shout_generate.sync(client=client, body=m.GenerateRequest("hi")).text_output)
print(get_v2_models_model.sync("double", client=client).inputs[0].name)
"""
#: With datamodel-code-generator: pydantic's null for what is not there, and integers beyond a float's.
WITH_CLASSES = """
import sys, urllib.request
import made_models as m

x = m.InputTensor(name="x", shape=[2], datatype="FP32", data=[1, 2])
body = m.InferenceRequest(inputs=[x]).model_dump_json().encode()
asked = urllib.request.Request(sys.argv[1] + "/v2/models/double/infer", body, {"Content-Type": "application/json"})
print(m.InferenceResponse.model_validate_json(urllib.request.urlopen(asked).read()).outputs[0].data)
print(m.InputTensor(name="n", shape=[], datatype="INT64", data=2**53 + 1).model_dump(exclude_none=True)["data"])
"""
#: With three generators of TypeScript.
IN_TYPESCRIPT = """
import createClient from "openapi-fetch";
import type { paths } from "./types.js";
import { Api } from "./api.js";
import { createClient as heyClient } from "./hey/client/index.js";
import { postV2ModelsDoubleInfer, postV2ModelsShoutGenerateStream } from "./hey/sdk.gen.js";

const baseUrl = process.argv[2]!;
const body = { inputs: [{ name: "x" as const, datatype: "FP32" as const, shape: [2], data: [1, 2] }] };
const { data, error } = await createClient<paths>({ baseUrl }).POST("/v2/models/double/infer", { body });
if (error) throw new Error(error.error);
console.log(data.outputs[0]!.data);
console.log((await new Api({ baseUrl }).v2.postV2ModelsDoubleInfer(body)).data.outputs[0]!.data);
const client = heyClient({ baseUrl });
console.log((await postV2ModelsDoubleInfer({ client, body })).data!.outputs[0]!.data);
const { stream } = await postV2ModelsShoutGenerateStream({ client, body: { text_input: "hello there" } });
for await (const event of stream) console.log((event as { text_output?: string }).text_output);
"""
TSCONFIG = {
    "compilerOptions": {
        "target": "ES2022", "module": "NodeNext", "moduleResolution": "NodeNext", "strict": True, "outDir": "out",
        "noUncheckedIndexedAccess": True, "types": ["node"], "lib": ["ES2022", "DOM", "DOM.Iterable", "DOM.AsyncIterable"],
    },
    "include": ["*.ts", "hey"],
}  # fmt: skip
HEY_API = (
    'export default {input: "api.json", output: {path: "hey", importFileExtension: ".js", module: {extension: ".js"}}};'
)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    for name in ("Double", "Shout"):
        place = folder / name.lower()
        place.mkdir()
        (place / "models.py").write_text(CODE)
        (place / "model-settings.json").write_text(json.dumps({"implementation": f"models.{name}"}))
    with running(folder) as server:
        yield server.url()


@pytest.fixture
def place(url, tmp_path):
    """A folder with the server's document in it."""
    with urllib.request.urlopen(f"{url}/v2/docs/dataplane.json") as answer:
        (tmp_path / "api.json").write_bytes(answer.read())
    return tmp_path


def test_generators_for_python_make_clients_that_infer(url, place):
    environment = Environment(place / "venv")
    environment.pip("install", "openapi-python-client<0.30", "datamodel-code-generator<0.90")
    environment.run(
        *["openapi-python-client", "generate", "--path", "api.json", "--meta", "none", "--output-path", "made"],
        cwd=place,
    )
    words = "datamodel-codegen --input api.json --input-file-type openapi --output made_models.py --output-model-type"
    environment.run(*words.split(), "pydantic_v2.BaseModel", cwd=place)
    (place / "modules.py").write_text(WITH_MODULES)
    (place / "classes.py").write_text(WITH_CLASSES)

    with_modules = environment.run("python", "modules.py", url, cwd=place).stdout.splitlines()
    with_classes = environment.run("python", "classes.py", url, cwd=place).stdout.splitlines()

    assert with_modules == ["[2.0, 4.0]", "Error INVALID_INPUT", "HI", "x"]
    assert with_classes == ["[2.0, 4.0]", str(2**53 + 1)]


@pytest.fixture
def node(place):
    """Runs programs of npm where they are on the PATH, as in `PATH=node_modules/.bin:$PATH scripts/test installed`."""

    def run(program, *words):
        found = shutil.which(program)
        if found is None:
            pytest.skip(f"{program} is not installed here.")
        modules = place / "node_modules"
        if not modules.exists() and (at := found.rfind("/node_modules/.bin/")) >= 0:
            modules.symlink_to(f"{found[:at]}/node_modules")
        done = subprocess.run([found, *words], cwd=place, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_generators_for_typescript_make_clients_that_compile_and_infer(url, place, node):
    (place / "package.json").write_text('{"type": "module"}')
    (place / "tsconfig.json").write_text(json.dumps(TSCONFIG))
    (place / "openapi-ts.config.mjs").write_text(HEY_API)
    (place / "ask.ts").write_text(IN_TYPESCRIPT)
    node("openapi-typescript", "api.json", "-o", "types.d.ts")
    node("openapi-ts")
    node("swagger-typescript-api", "generate", "-p", "api.json", "-o", ".", "-n", "api.ts")
    node("tsc", "-p", ".")

    assert node("node", "out/ask.js", url).splitlines() == [*["[ 2, 4 ]"] * 3, "HELLO", "THERE"]


def tensor(name, datatype, shape, data, **more):
    return {"name": name, "datatype": datatype, "shape": shape, "data": data, **more}


def requests_of_all_kinds():
    """Yield method, path and document of requests that the description has a word for, right ones and wrong ones."""
    pages = ["", "/ready", "/config", "/stats", "/docs/dataplane.json"]
    of_server = ["/", "/v2", "/v2/health/live", "/v2/health/ready", "/v2/models", "/v2/models/stats", "/metrics"]
    for path in [*of_server, *(f"/v2/models/{name}{page}" for name in ("double", "shout", "nobody") for page in pages)]:
        yield "GET", path, None
    x = tensor("x", "FP32", [2], [1, 2])
    beside = [
        {}, {"id": "1"}, {"id": ""}, {"id": None, "parameters": None, "outputs": None}, {"outputs": []},
        {"outputs": [{"name": "output"}]}, {"parameters": {"a": 1, "b": 1.5, "c": "x", "d": True, "e": None}},
    ]  # fmt: skip
    for more in beside:
        yield "POST", "/v2/models/double/infer", {"inputs": [x], **more}
        yield "POST", "/v2/models/double/versions/1/infer", {"inputs": [x], **more}
    for shape, data in ([0], []), ([2, 2], [[1, 2], [3, 4]]), ([1], [None]), ([3], [1, 2]), ([], 1.5):
        yield "POST", "/v2/models/double/infer", {"inputs": [tensor("x", "FP32", shape, data, parameters=None)]}
    for more in {}, {"id": None}, {"parameters": {"n": 1}}, {"n": [1]}:
        yield "POST", "/v2/models/shout/generate", {"text_input": "a b", **more}
        yield "POST", "/v2/models/shout/generate_stream", {"text_input": "a b", **more}
    text = {"inputs": [tensor("text_input", "BYTES", [1], ["ä b"])]}
    for path in "infer", "infer_stream", "generate":
        yield "POST", f"/v2/models/shout/{path}", text
    for document in {}, None, {"ready": True}, {"ready": None}:
        yield "POST", "/v2/repository/index", document
    for action in "unload", "load":
        yield "POST", f"/v2/repository/models/shout/{action}", {}


def test_a_validating_proxy_lets_requests_and_answers_through(url, place):
    prism, port = shutil.which("prism"), free_port()
    if prism is None:
        pytest.skip("prism is not installed here.")
    words = [prism, "proxy", "api.json", url, "--errors", "--port", str(port)]
    with (place / "log").open("w") as log:
        process = subprocess.Popen(words, cwd=place, stdout=log, stderr=log)
    try:
        assert eventually(lambda: "listening" in (place / "log").read_text())
        asked = [*requests_of_all_kinds()]
        for method, path, document in asked:
            body = None if document is None else json.dumps(document).encode()
            request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, method=method)
            request.add_header("Content-Type", "application/json")
            try:
                answer = urllib.request.urlopen(request)
            except urllib.error.HTTPError as error:
                answer = error
            with answer:
                assert "sl-violations" not in answer.headers, (path, document, answer.headers["sl-violations"])
                assert b"stoplight.io" not in answer.read(), (path, document)
        assert len(asked) >= 50
    finally:
        process.terminate()
        process.wait(30)


def test_linters_find_no_error_in_the_document(place, node):
    (place / ".spectral.yaml").write_text('extends: ["spectral:oas"]\n')
    node("redocly", "lint", "api.json")
    node("spectral", "lint", "api.json", "--ruleset", ".spectral.yaml", "--fail-severity", "error")
