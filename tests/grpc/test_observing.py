"""Statistics and configurations over gRPC, as Triton's client asks for them."""

import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException


def infer(client, values):
    tensor = InferInput("x", [len(values)], "FP64")
    tensor.set_data_from_numpy(np.asarray(values, np.float64))
    client.infer("echo", [tensor])


@pytest.fixture
def client(face):
    with InferenceServerClient(face().address) as made:
        yield made


def test_statistics_count_what_was_asked_over_grpc(client):
    infer(client, [1.0, 2.0])
    with pytest.raises(InferenceServerException):
        client.infer("echo", [InferInput("x", [1], "FP64")])
    told = client.get_inference_statistics("echo", as_json=True)["model_stats"][0]
    assert (told["name"], told["execution_count"]) == ("echo", "1")
    assert told["inference_stats"]["success"]["count"] == "1"
    assert told["inference_stats"]["fail"]["count"] == "1"
    assert int(told["inference_stats"]["compute_infer"]["ns"]) > 0


def test_without_a_name_all_models_are_told(client):
    names = [row.name for row in client.get_inference_statistics().model_stats]
    assert names == sorted(names)
    assert "echo" in names
    assert len(names) > 1


def test_a_configuration_is_tritons(client):
    config = client.get_model_config("echo").config
    assert (config.name, config.backend, config.max_batch_size) == ("echo", "python", 0)


@pytest.mark.parametrize("ask", ["get_model_config", "get_inference_statistics"])
def test_a_model_that_nobody_knows_is_not_found(client, ask):
    with pytest.raises(InferenceServerException) as caught:
        getattr(client, ask)("nobody")
    assert caught.value.status() == "StatusCode.NOT_FOUND"
