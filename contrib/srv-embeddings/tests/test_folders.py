"""Folders: which are recognised, which are served, and with which sentence the others are refused."""

import json
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from onnx import TensorProto
from tiny_models import (
    Transformer,
    embedded,
    reranking_model,
    sentence_model,
    static_model,
    texts,
    write,
    write_tokenizer,
)

from srv import InvalidInput, ModelSettings
from srv.errors import LoadFailed
from srv.model_settings import ModelParameters
from srv_embeddings import EmbeddingsRuntime


def plain_graph(folder, **options):
    write_tokenizer(folder)
    Transformer().save(folder / "model.onnx", **options)


def weights_of_torch(folder):
    sentence_model(folder)
    (folder / "onnx/model.onnx").unlink()
    (folder / "model.safetensors").touch()


def older(folder):
    """A folder as sentence-transformers wrote it before the first module lay in the model's own folder."""
    network = sentence_model(folder)
    (folder / "0_Transformer").mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "config.json", "onnx"):
        (folder / name).rename(folder / "0_Transformer" / name)
    modules = json.loads((folder / "modules.json").read_text())
    write(folder / "modules.json", [modules[0] | {"path": "0_Transformer"}, *modules[1:]])
    return network


def foreign(folder, **files):
    """A folder of another program, whose files happen to be called like ours."""
    for name, content in {"modules": {"a": 1}, "config": [1], "tokenizer": {}, **files}.items():
        write(folder / f"{name}.json", content)


def newer(folder):
    network = sentence_model(folder)
    made = network.graph()
    made.ir_version = 99
    (folder / "onnx/model.onnx").write_bytes(made.SerializeToString())


@pytest.mark.parametrize(
    "make, is_ours",
    [
        (sentence_model, True),
        (partial(reranking_model, activation="torch.nn.modules.linear.Identity"), True),
        (older, True),
        (partial(static_model, own=False), True),
        (reranking_model, False),
        (static_model, True),
        (plain_graph, False),
        (partial(reranking_model, labels=3), False),
        (weights_of_torch, False),
        (write_tokenizer, False),
        (foreign, False),
        (partial(foreign, config={}), False),
        (lambda folder: changed(folder, "modules.json", [1]), True),
    ],
    ids=[
        "sentences",
        "reranker",
        "older",
        "static of sentence-transformers",
        "any classifier",
        "static",
        "a graph alone",
        "a classifier",
        "torch",
        "a tokenizer alone",
        "another program's",
        "another program's modules",
        "sentences with a list that is wrong",
    ],
)
def test_a_folder_is_recognised_by_what_its_files_say(tmp_path, make, is_ours):
    make(tmp_path)
    assert EmbeddingsRuntime.recognise(tmp_path / "tokenizer.json") is is_ours
    assert EmbeddingsRuntime.recognise(tmp_path / "modules.json") is is_ours


def test_a_folder_that_is_served_itself_is_one_model_whatever_its_folders_hold(tmp_path, srv_client):
    sentence_model(tmp_path / "m")
    client = srv_client(tmp_path / "m")
    assert client.get("/v2/models").json == {"models": ["m"]}


def test_importing_the_runtime_imports_no_library_of_models():
    code = (
        "import sys, srv_embeddings; print(*(set(sys.modules) & {'onnxruntime', 'tokenizers', 'safetensors', 'torch'}))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_a_real_server_serves_a_bare_folder(tmp_path, srv_server):
    network = sentence_model(tmp_path / "sentences", file="model.onnx")
    static_model(tmp_path / "words")
    older(tmp_path / "older")
    server = srv_server(tmp_path)
    given = texts(1000)
    wanted = embedded(network, given)
    elements = np.array([text.encode() for text in given], dtype=object)
    for form in ("json", "binary", "grpc", "grpc-typed"):
        answer = server.infer("sentences", {"text": elements}, form=form)
        assert np.abs(answer["embedding"] - wanted).max() < 1e-5
    answer = server.infer("older", {"text": elements}, form="binary")
    assert np.abs(answer["embedding"] - wanted).max() < 1e-5
    assert server.infer("words", {"text": ["the fox"]})["embedding"].shape == (1, 16)


def changed(folder, file, content):
    sentence_model(folder)
    write(folder / file, content)


def with_module(kind, config=None):
    def make(folder):
        sentence_model(folder, then=(kind,))
        write(folder / f"2_{kind}/config.json", config or {})

    return make


def without(name, make=sentence_model):
    def remade(folder):
        make(folder)
        (folder / name).unlink()

    return remade


SAID = "config_sentence_transformers.json"
OWN_CODE = [{"path": "", "type": "sentence_transformers.models.Transformer"}, {"path": "x", "type": "mine.Pooling"}]


@pytest.mark.parametrize(
    "make, extra, said",
    [
        (plain_graph, {}, "No file says how to pool"),
        (weights_of_torch, {}, "There are weights for torch: export the model to ONNX"),
        (write_tokenizer, {}, "no model beside it: model.onnx, onnx/model.onnx is missing"),
        (sentence_model, {"file": "other.onnx"}, "other.onnx is missing"),
        (
            sentence_model,
            {"pooling": ["max"]},
            "parameters.extra.pooling is 'max', and 1_Pooling/config.json says 'mean'",
        ),
        (static_model, {"pooling": ["max"]}, "parameters.extra.pooling is 'max', and model.safetensors says 'mean'"),
        (sentence_model, {"pooling": ["median"]}, "Must be one of: cls, max, mean"),
        (sentence_model, {"poling": ["mean"]}, "poling"),
        (sentence_model, {"output": "nothing"}, "has no output 'nothing' of the rank 3"),
        (without("1_Pooling/config.json"), {}, "'1_Pooling/config.json' is missing, which says how to pool"),
        (without("modules.json", with_module("Normalize")), {}, "'2_Normalize' belongs to a list of modules"),
        (partial(sentence_model, pooling="median"), {}, "pools by 'median', which is not served"),
        (
            partial(sentence_model, inputs=("input_ids",), shape=(1, 8)),
            {},
            "of the fixed shape [1, 8]. Export it with dynamic axes",
        ),
        (
            partial(sentence_model, integers=TensorProto.FLOAT),
            {},
            "takes 'input_ids' as tensor(float); integers are served",
        ),
        (with_module("CNN"), {}, "names the module 'CNN', which is not served"),
        (with_module("Dense"), {}, "'2_Dense/model.safetensors' is missing; weights in a pickle"),
        (with_module("Normalize", {"module_input_name": "token_embeddings"}), {}, "reads 'token_embeddings'"),
        (partial(changed, file="modules.json", content=OWN_CODE), {}, "names the module 'mine.Pooling', which is code"),
        (partial(changed, file="sentence_bert_config.json", content={"query_length": 32}), {}, "sets query_length"),
        (
            partial(changed, file="sentence_bert_config.json", content={"modality_config": {"image": {}}}),
            {},
            "describes a model that reads no plain text",
        ),
        (
            partial(changed, file="tokenizer.json", content={}),
            {},
            "'tokenizer.json' is no tokenizer that this release reads",
        ),
        (
            partial(changed, file="onnx/model.onnx", content={}),
            {},
            "'onnx/model.onnx' is no graph that this onnxruntime runs",
        ),
        (
            newer,
            {},
            "that this onnxruntime runs: Load model from …/model.onnx failed:Unsupported model IR version: 99, max",
        ),
        (partial(changed, file="config.json", content=[1]), {}, "'config.json' holds no JSON object"),
        (partial(changed, file="modules.json", content={"a": 1}), {}, "'modules.json' holds no list of modules"),
        (partial(changed, file="modules.json", content=[1]), {}, "'modules.json' holds no list of modules"),
        (partial(sentence_model, pooling=3), {}, "pools by '3', which is not served"),
        (partial(changed, file=SAID, content={"prompts": ["a"]}), {}, "has prompts without names"),
        (partial(changed, file=SAID, content={"truncate_dim": "4"}), {}, "has a truncate_dim that is no count: '4'"),
        (
            partial(changed, file="sentence_bert_config.json", content={"max_seq_length": "x"}),
            {},
            "has a max_seq_length that is no count: 'x'",
        ),
        (without("tokenizer.json"), {}, "'tokenizer.json' is missing. transformers writes it: AutoTokenizer"),
        (partial(reranking_model, labels=3), {}, "The model classifies into 3 labels"),
        (reranking_model, {"pooling": ["mean"]}, "parameters.extra.pooling is about vectors of texts"),
        (
            partial(reranking_model, activation="torch.nn.modules.activation.Hardtanh"),
            {},
            "Hardtanh', which is not served",
        ),
    ],
)
def test_what_cannot_be_served_rightly_is_not_loaded(served, make, extra, said):
    with pytest.raises(LoadFailed) as caught:
        served(make, **extra)
    assert said in str(caught.value)


def test_a_dense_layer_beside_a_graph_that_pools_is_refused(served):
    def make(folder):
        with_module("Dense")(folder)
        modules = json.loads((folder / "modules.json").read_text())
        write(folder / "modules.json", [modules[0], modules[2]])
        Transformer().save(folder / "onnx/model.onnx", pooled="sentence_embedding")

    with pytest.raises(LoadFailed, match="names the module Dense, and the ONNX graph pools by itself"):
        served(make)


def test_a_graph_of_another_name_is_served_where_the_settings_name_it(served):
    def make(folder):
        network = sentence_model(folder)
        (folder / "onnx/model.onnx").rename(folder / "onnx/model_quantized.onnx")
        return network

    client = served(make, file="onnx/model_quantized.onnx")
    assert client.metadata("m").json["parameters"]["model"] == "onnx/model_quantized.onnx"
    assert client.infer("m", {"text": ["fox"]}).ok


@pytest.mark.parametrize("said, width", [(4, 4), (400, 16)])
def test_the_files_say_how_many_numbers_a_vector_has_at_most(served, said, width):
    client = served(partial(changed, file=SAID, content={"truncate_dim": said}))
    assert client.infer("m", {"text": ["fox"]})["embedding"].shape == (1, width)
    assert client.metadata("m").json["parameters"]["dimension"] == width


@pytest.mark.parametrize("make", [sentence_model, reranking_model])
def test_a_text_that_is_longer_than_the_graph_takes_is_the_clients(served, make):
    def without_limit(folder):
        make(folder)
        (folder / "tokenizer_config.json").unlink()
        write(
            folder / "config.json", json.loads((folder / "config.json").read_text()) | {"max_position_embeddings": None}
        )

    client = served(without_limit)
    query = {"query": ["a fox"]} if make is reranking_model else {}
    assert client.infer("m", query | {"text": ["fox"]}).ok
    answer = client.infer("m", query | {"text": ["fox", "a " * 100]})
    assert answer.status == 400
    assert answer.error.startswith("Input 'text', row 1: the model's operator Add refuses the text, which has 10")


def test_plugins_may_ask_the_runtime_itself(tmp_path):
    def loaded(folder):
        extra = EmbeddingsRuntime.extra().load({})
        runtime = EmbeddingsRuntime(ModelSettings(name="m", folder=folder, parameters=ModelParameters(extra=extra)))
        runtime.load()
        return runtime

    sentence_model(tmp_path / "a")
    reranking_model(tmp_path / "b")
    embedder, reranker = loaded(tmp_path / "a"), loaded(tmp_path / "b")
    assert embedder.embed(["fox", ""], dimensions=4).values.shape == (2, 4)
    assert reranker.rerank("fox", ["dog", "fox"]).tokens.tolist() == [5, 5]
    with pytest.raises(InvalidInput, match="is a reranker"):
        reranker.embed(["fox"])
    with pytest.raises(InvalidInput, match="it is no reranker"):
        embedder.rerank("fox", ["dog"])
