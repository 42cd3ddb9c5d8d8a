"""The model repository over gRPC, as Triton's client asks for it."""

from types import SimpleNamespace

import grpc
import pytest
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from srv.grpc.descriptors import message
from srv.grpc.servicer import Servicer
from srv.models.registry import Registry
from srv.planes.dataplane import DataPlane


@pytest.fixture
def client(face):
    made = []

    def connect(**settings):
        served = face(**{"model_control": True, **settings})
        made.append(InferenceServerClient(served.address, channel_args=[("grpc.use_local_subchannel_pool", 1)]))
        return made[-1]

    yield connect
    for each in made:
        each.close()


def status_of(ask, *arguments, **keywords):
    with pytest.raises(InferenceServerException) as caught:
        ask(*arguments, **keywords)
    return caught.value.status().removeprefix("StatusCode."), caught.value.message()


def states(client):
    return {row.name: (row.state, row.reason) for row in client.get_model_repository_index().models}


def test_a_model_is_unloaded_and_loaded_and_the_index_says_so(client):
    triton = client()
    assert states(triton)["double"] == ("READY", "")
    triton.unload_model("double")
    assert not triton.is_model_ready("double")
    assert states(triton)["double"] == ("UNAVAILABLE", "unloaded")
    triton.load_model("double")
    assert triton.is_model_ready("double")
    assert states(triton)["double"] == ("READY", "")


def test_a_load_brings_neither_settings_nor_files(client):
    triton = client()
    sentence = "a model is loaded from the repository as it is; bring no {0} along."
    assert status_of(triton.load_model, "double", config="{}") == (
        "INVALID_ARGUMENT",
        "parameters.config: " + sentence.format("config"),
    )
    code, said = status_of(triton.load_model, "double", files={"file:1/model.py": b"code"})
    assert (code, "bring no " in said) == ("INVALID_ARGUMENT", True)
    assert triton.is_model_ready("double")


def test_a_model_that_the_repository_does_not_hold_is_not_found(client):
    triton = client()
    assert status_of(triton.load_model, "duoble") == (
        "NOT_FOUND",
        "No model is called 'duoble'. Did you mean 'double'?",
    )
    assert status_of(triton.unload_model, "duoble")[0] == "NOT_FOUND"


def test_a_load_that_fails_is_a_failed_precondition_with_the_reason_and_the_old_one_serves(client, tmp_path):
    triton = client()
    (tmp_path / "double" / "models.py").write_text("broken!")
    code, sentence = status_of(triton.load_model, "double")
    assert code == "FAILED_PRECONDITION"
    assert "SyntaxError" in sentence
    assert triton.is_model_ready("double")


def test_model_control_can_be_off(client):
    assert status_of(client(model_control=False).load_model, "double")[0] == "PERMISSION_DENIED"


@pytest.mark.parametrize("method", ["RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload"])
def test_garbage_is_the_clients_error(face, channel, method):
    ask = channel(face()).unary_unary(f"/inference.GRPCInferenceService/{method}")
    with pytest.raises(grpc.RpcError) as caught:
        ask(b"\xff\xff garbage")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("loaded", [True, False], ids=["after the first load", "before"])
@pytest.mark.parametrize("asked", [{"name": "nobody"}, {"name": "nobody", "version": "9"}, {"name": ""}])
def test_a_model_that_nobody_knows_is_not_ready(loaded, asked):
    dataplane = DataPlane(Registry(), server_name="s", request_timeout=1)
    dataplane.readiness.loaded = loaded
    request = message("inference.ModelReadyRequest")(**asked).SerializeToString()
    call = SimpleNamespace(model=None)

    answer = Servicer(dataplane, max_body_size=1000).model_ready(request, call)

    assert not message("inference.ModelReadyResponse").FromString(answer).ready
    assert call.model is None
