"""The client in process: asks as a client on the wire would, and gives every answer as an answer."""

import json
import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from srv import InferenceRequest, InvalidInput, Runtime, Tensor
from srv.client.bodies import NoJsonForm
from srv.errors import LoadFailed, SettingsError
from srv.testing import Client, model


class Doubler(Runtime):
    def predict(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        return 2 * x


class Mirror(Runtime):
    """Gives every input back."""

    def load(self):
        self.said = self.artifact("words.txt").read_text() if self.settings.parameters.uri else ""

    def predict(self, request):
        if request.parameters.get("refuse"):
            raise InvalidInput("You asked for it.")
        return {tensor.name: tensor for tensor in request.inputs} | {"said": [self.said]}


def test_a_class_is_served_under_its_name(srv_client):
    client = srv_client(Doubler)
    assert client.infer("Doubler", {"x": np.array([1, 2.5], np.float32)})["output"].tolist() == [2, 5]


def test_a_class_inside_a_function_is_served_too(srv_client):
    class Local(Doubler):
        pass

    assert srv_client(Local).metadata("Local").json["inputs"][0]["datatype"] == "FP32"


def test_settings_and_files_are_those_of_the_model(srv_client):
    client = srv_client(
        model(Mirror, name="one", files={"words.txt": "hello"}, parameters={"uri": "words.txt", "version": "2"}),
        model(Mirror, name="two"),
    )
    assert client.get("/v2/models").json == {"models": ["one", "two"]}
    assert client.infer("one", {}, version="2")["said"].tolist() == [b"hello"]


@pytest.mark.parametrize(
    "content", ["hello", b"hello", lambda path: path.write_text("hello"), "path"], ids=["text", "bytes", "call", "path"]
)
def test_files_are_given_in_any_way(srv_client, tmp_path, content):
    if content == "path":
        content = tmp_path / "elsewhere.txt"
        content.write_text("hello")
    client = srv_client(model(Mirror, files={"deep/words.txt": content}, parameters={"uri": "deep"}))
    assert client.infer("Mirror", {})["said"].tolist() == [b"hello"]


def test_a_folder_is_served_as_it_is_and_with_settings_from_a_copy(srv_client, tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "settings.json").write_text('{"server_name": "mine", "max_body_size": 1000}')
    (tmp_path / "m" / "model-settings.json").write_text('{"implementation": "models.M"}')
    (tmp_path / "m" / "models.py").write_text(
        "from srv import Runtime\nclass M(Runtime):\n    def predict(self, x): return x['x']\n"
    )

    plain, changed = srv_client(tmp_path), srv_client(str(tmp_path), settings={"max_body_size": 10})

    assert plain.infer("m", {"x": [1]})["output"].tolist() == [1]
    assert changed.get("/").json["name"] == "mine"
    assert changed.infer("m", {"x": [1]}).status == 413
    assert json.loads((tmp_path / "settings.json").read_text())["max_body_size"] == 1000


def test_a_folder_beside_other_models_is_refused():
    with pytest.raises(TypeError, match="Give one folder, or any number of models"):
        Client.of("models", Doubler)


TENSORS = [
    Tensor("x", [1.5, -2.0], "FP64"),
    Tensor("x", [0.5], "FP16"),
    Tensor("x", [np.nan, 1.0], "FP32"),
    Tensor("x", [[1, 2], [3, 4]], "INT8"),
    Tensor("x", 7, "UINT64"),
    Tensor("x", [True, False]),
    Tensor("x", ["ü", ""]),
    Tensor("x", np.zeros((0, 3), np.float32)),
]


@pytest.mark.parametrize("tensor", TENSORS, ids=repr)
def test_what_is_sent_comes_back_as_it_was(srv_client, tensor):
    [given, _] = srv_client(Mirror).infer("Mirror", [tensor]).response.outputs
    assert (given.datatype, given.shape, given.data.dtype) == (tensor.datatype, tensor.shape, tensor.data.dtype)
    assert np.array_equal(given.data, tensor.data, equal_nan=given.data.dtype.kind == "f")


@pytest.mark.parametrize(
    "tensor",
    [Tensor("x", [b"\xff"]), Tensor("x", [np.inf]), Tensor("x", np.zeros(1, np.uint16), "BF16")],
    ids=["bytes", "infinity", "bf16"],
)
def test_what_json_cannot_say_is_not_sent(srv_client, tensor):
    with pytest.raises(NoJsonForm, match="Tensor 'x'"):
        srv_client(Mirror).infer("Mirror", [tensor])


def test_everything_that_a_client_may_say_is_said(srv_client):
    client = srv_client(Mirror)
    answer = client.infer("Mirror", {"a": [1], "b": [2]}, id="seven", outputs=["b"], headers={"X-Request-Id": "trace"})
    assert (answer.response.id, answer.response.model_name) == ("seven", "Mirror")
    assert [output.name for output in answer.response.outputs] == ["b"]
    assert answer.headers["x-request-id"] == "trace"


def test_a_whole_request_is_sent_as_it_stands(srv_client):
    request = InferenceRequest([Tensor("a", [1])], id="seven", parameters={"refuse": True})
    answer = srv_client(Mirror).infer("Mirror", request)
    assert (answer.status, answer.code, answer.error) == (400, "INVALID_INPUT", "You asked for it.")


def test_an_error_is_an_answer_until_its_response_is_asked_for(srv_client):
    answer = srv_client(Mirror).infer("Miror", {"x": [1]})
    assert not answer.ok
    assert answer.error == "No model is called 'Miror'. Did you mean 'Mirror'?"
    with pytest.raises(AssertionError, match=r"404 .*No model is called 'Miror'"):
        answer["x"]


def test_an_output_that_is_not_there_is_named_with_those_that_are(srv_client):
    with pytest.raises(AssertionError, match="no output 'y'; it has x, said"):
        srv_client(Mirror).infer("Mirror", {"x": [1]})["y"]


def test_get_and_post_ask_for_anything(srv_client):
    client = srv_client()
    assert client.get("/v2/health/ready").json == {"ready": True}
    assert client.post("/v2/models/m/infer", b"{").status == 404
    assert client.request("DELETE", "/v2").status == 405


def test_a_model_that_cannot_be_loaded_is_raised_as_a_start_would_say_it():
    class Broken(Runtime):
        def load(self):
            raise OSError("no disk")

    with pytest.raises(LoadFailed, match=r"Broken.*no disk"):
        Client.of(Broken)


def test_settings_that_cannot_be_used_are_raised():
    with pytest.raises(SettingsError, match="max_body_siz"):
        Client.of(settings={"max_body_siz": 1})


def test_the_environment_changes_nothing(srv_client, monkeypatch):
    monkeypatch.setenv("SRV_SERVER_NAME", "elsewhere")
    assert srv_client().get("/").json["name"] == "srv"


def test_a_closed_client_has_unloaded_its_models_and_left_nothing_behind():
    unloaded = []

    class Model(Runtime):
        def predict(self, request):
            return {}

        def unload(self):
            unloaded.append(self.name)

    before = {*sys.modules}
    with Client.of(Model) as client:
        client.get("/")
    client.close()
    assert unloaded == ["Model"]
    assert [name for name in {*sys.modules} - before if name.startswith(("srv_testing", "srv.model."))] == []


class Talking(Runtime):
    def predict(self, request: InferenceRequest):
        said = request.headers.get("x-mine", "nothing")
        return {"output": request["x"] * 2, "said": [said], "version": [request.model_version or ""]}

    def predict_stream(self, request: InferenceRequest):
        for place in range(3):
            if place == 2 and "fail" in request.parameters:
                raise InvalidInput("No further.")
            yield {"output": request["x"] + place}


@pytest.mark.parametrize("form", ["json", "binary", "grpc", "grpc-typed"])
def test_a_request_may_travel_in_every_form(srv_client, form):
    client = srv_client(Talking)

    answer = client.infer("Talking", {"x": [1.5, 2.5]}, id="one", headers={"X-Mine": "hello"}, version="1", form=form)

    assert answer["output"].tolist() == [3.0, 5.0]
    assert (answer["said"].tolist(), answer["version"].tolist()) == ([b"hello"], [b"1"])
    assert (answer.response.id, answer.response.model_version) == ("one", "1")
    assert client.infer("Nobody", {"x": [1.0]}, form=form).code == "NOT_FOUND"


def test_bytes_that_json_cannot_say_travel_in_the_other_forms(srv_client):
    client = srv_client(Talking)

    assert client.infer("Talking", {"x": [float("inf")]}, form="binary")["output"].tolist() == [float("inf")]
    with pytest.raises(NoJsonForm):
        client.infer("Talking", {"x": [float("inf")]})


def test_an_unknown_form_is_told_with_those_that_there_are(srv_client):
    with pytest.raises(ValueError, match="There is no form 'xml'; there are json, binary, grpc, grpc-typed"):
        srv_client(Talking).infer("Talking", {"x": [1.0]}, form="xml")


@pytest.mark.parametrize("form", ["json", "grpc"])
def test_a_stream_is_an_answer_for_each_response_and_one_for_its_failure(srv_client, form):
    client = srv_client(Talking)

    good = client.stream("Talking", {"x": [1.0]}, id="one", form=form)
    *before, failed = client.stream("Talking", {"x": [1.0]}, parameters={"fail": True}, form=form)

    assert [answer["output"].tolist() for answer in good] == [[1.0], [2.0], [3.0]]
    assert {answer.response.id for answer in good} == {"one"}
    assert [answer["output"].tolist() for answer in before] == [[1.0], [2.0]]
    assert (failed.ok, failed.error) == (False, "No further.")
    assert form == "grpc" or (failed.status, failed.code) == (400, "INVALID_INPUT")
    assert [answer.ok for answer in client.stream("Nobody", {"x": [1.0]}, form=form)] == [False]


UNCLOSED = """
import numpy as np
from srv import Runtime
from srv.testing import Client


class Double(Runtime):
    def predict(self, x: np.ndarray):
        return 2 * x


client = Client.of(Double)
print(client.infer("Double", {"x": np.ones(1)})["output"])
"""


@pytest.mark.e2e
def test_a_client_that_nobody_has_closed_ends_with_the_program_and_says_nothing():
    run = subprocess.run([sys.executable, "-c", UNCLOSED], capture_output=True, text=True, check=True)

    assert (run.stdout, run.stderr) == ("[2.]\n", "")
