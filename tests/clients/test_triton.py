"""Triton's clients in their default modes: HTTP and gRPC, waiting and asyncio, with one worker and with several."""

from importlib.metadata import version

import numpy as np
import pytest
from triton import GRPC, HTTP, KINDS
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from srv.datatypes import DATATYPES

pytestmark = [pytest.mark.e2e, pytest.mark.parametrize("name", KINDS)]
ONE_TO_THREE = np.array([[1, 2, 3]], np.float32)
#: An array of each datatype that numpy can say, an empty one and a scalar.
ARRAYS = {
    **{
        datatype: np.array([[0, 1], [2, 3]]).astype(np.dtype(datatype.replace("FP", "float").lower()))
        for datatype in DATATYPES
        if datatype not in ("BF16", "BYTES", "BOOL")
    },
    "BOOL": np.array([True, False]),
    "BYTES": np.array([b"a", b"", b"\xff\x00", "ü".encode()], object),
    "empty": np.zeros((0, 3), np.int16),
    "scalar": np.array(2.5, np.float64),
}


def as_json(name):
    return {"as_json": True} if name in GRPC else {}


def test_health_is_told(client, name):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("double")
    assert client.is_model_ready("double", "1")
    assert not client.is_model_ready("nobody")
    assert not client.is_model_ready("double", "2")


def test_metadata_are_told(client, name):
    server = client.get_server_metadata(**as_json(name))
    assert server["name"] == "srv"
    assert {"binary_tensor_data", "model_repository", "statistics"} <= set(server["extensions"])
    model = client.get_model_metadata("double", **as_json(name))
    assert (model["name"], model["platform"]) == ("double", "python")
    assert [(x["name"], x["datatype"]) for x in model["inputs"]] == [("x", "FP32")]


def test_a_configuration_is_told(client, name):
    config = client.get_model_config("double", **as_json(name))
    config = config.get("config", config)
    assert config["name"] == "double"
    assert [(x["name"], x["data_type"]) for x in config["input"]] == [("x", "TYPE_FP32")]


def test_inference_in_the_default_mode(client, name, tensor):
    for _ in range(3):
        answer = client.infer("double", [tensor(ONE_TO_THREE, "FP32")])
        assert answer.as_numpy("output").tolist() == [[2, 4, 6]]
        assert answer.as_numpy("output").dtype == np.float32


@pytest.mark.parametrize("of", ARRAYS)
def test_tensors_come_back_bit_for_bit(client, name, tensor, of):
    if of == "empty" and name in HTTP and tuple(map(int, version("tritonclient").split(".")[:2])) < (2, 50):
        pytest.skip("An older tritonclient reads an empty output over HTTP as FP64.")
    array = ARRAYS[of]
    back = client.infer("echo", [tensor(array, np_to_triton_dtype(array.dtype))]).as_numpy("x")
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.tobytes() == array.tobytes() if array.dtype != object else back.tolist() == array.tolist()


def test_an_id_and_parameters_come_back_and_outputs_are_chosen(client, name, tensor, output):
    inputs = [tensor(ONE_TO_THREE, "FP32", name_of_input=letter) for letter in "abc"]
    answer = client.infer(
        "echo",
        inputs,
        outputs=[output("c"), output("a")],
        request_id="of-mine",
        parameters={"word": "yes", "number": 7, "flag": True},
    )
    response = answer.get_response(**as_json(name))
    assert response["id"] == "of-mine"
    assert [each["name"] for each in response["outputs"]] == ["c", "a"]
    said = {key: value if name in HTTP else next(iter(value.values())) for key, value in response["parameters"].items()}
    assert (said["word"], int(said["number"]), said["flag"]) == ("yes", 7, True)


def test_an_error_is_an_exception_with_the_servers_sentence(client, name, tensor):
    with pytest.raises(InferenceServerException, match=r"No model is called 'dubble'\. Did you mean 'double'\?"):
        client.infer("dubble", [tensor(ONE_TO_THREE, "FP32")])
    with pytest.raises(InferenceServerException, match="FP64") as refused:
        client.infer("double", [tensor(np.zeros((1, 3)), "FP64")])
    assert refused.value.status() in ("400", "StatusCode.INVALID_ARGUMENT")


def test_statistics_count_over_all_workers(clients, client, name, tensor):
    def count():
        told = client.get_inference_statistics("double", **as_json(name))["model_stats"]
        return sum(int(row["inference_stats"]["success"].get("count", 0)) for row in told)

    before = count()
    for _ in range(6):
        clients(name).infer("double", [tensor(ONE_TO_THREE, "FP32")])
    assert count() == before + 6


def test_a_model_is_unloaded_and_loaded_for_every_client(clients, client, name, tensor):
    def states():
        index = client.get_model_repository_index(**as_json(name))
        return {row["name"]: row["state"] for row in (index["models"] if isinstance(index, dict) else index)}

    assert states() == dict.fromkeys(("count", "double", "echo", "hears", "oneinput"), "READY")
    try:
        client.unload_model("hears")
        assert states()["hears"] == "UNAVAILABLE"
        for _ in range(6):
            with pytest.raises(InferenceServerException, match="hears"):
                clients(name).infer("hears", [])
    finally:
        client.load_model("hears")
    assert states()["hears"] == "READY"
    assert all(clients(name).is_model_ready("hears") for _ in range(6))


def test_a_load_that_cannot_be_is_an_exception_with_the_servers_sentence(client, name):
    with pytest.raises(InferenceServerException, match="bring no config along"):
        client.load_model("double", config="{}")
    with pytest.raises(InferenceServerException, match="No model is called 'duoble'"):
        client.load_model("duoble")


@pytest.mark.parametrize("called", ["input-0", "predict", "rows"])
def test_the_only_input_may_be_called_otherwise(client, tensor, called):
    rows = np.arange(8, dtype=np.float64).reshape(2, 4)

    answer = client.infer("oneinput", [tensor(rows, "FP64", called)])

    assert answer.as_numpy("output").tolist() == [6, 22]


def test_every_version_that_a_client_is_told_is_a_number(client, tensor):
    rows = np.ones((1, 4))
    answer = client.infer("oneinput", [tensor(rows, "FP64", "x")]).get_response()
    metadata, told = client.get_model_metadata("oneinput"), client.get_inference_statistics("oneinput", "1")

    versions = [
        *(metadata["versions"] if isinstance(metadata, dict) else metadata.versions),
        answer["model_version"] if isinstance(answer, dict) else answer.model_version,
        told["model_stats"][0]["version"] if isinstance(told, dict) else told.model_stats[0].version,
    ]

    assert [int(version) for version in versions] == [1, 1, 1]
