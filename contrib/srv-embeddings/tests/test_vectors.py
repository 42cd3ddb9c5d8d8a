"""Vectors of transformers: equal to what each text gives alone, in every way of pooling, whatever stands beside it."""

from functools import partial

import numpy as np
import pytest
from onnx import TensorProto
from safetensors.numpy import save_file
from tiny_models import (
    WIDTH,
    Transformer,
    embedded,
    pooled,
    sentence_model,
    texts,
    tokenizer,
    unit,
    write,
    write_tokenizer,
)

from srv.errors import LoadFailed
from srv.testing.thread_stress import run_in_threads
from srv_embeddings.folder import MODES

TEXTS = texts(1000)
OLD_KEYS = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}


def elements(given):
    return np.array([text.encode() for text in given], dtype=object)


def vectors_of(client, given, **parameters):
    answer = client.infer("m", {"text": elements(given)}, parameters=parameters, form="binary")
    assert answer.ok, answer.error
    return answer["embedding"]


def close(given, wanted):
    return given.shape == wanted.shape and np.abs(given - wanted).max() < 1e-5


@pytest.mark.parametrize("mode", MODES)
def test_each_way_of_pooling_gives_each_text_its_own_vector(served, mode):
    client = served(partial(sentence_model, pooling=mode))
    assert close(vectors_of(client, TEXTS[:300]), embedded(client.made, TEXTS[:300], mode=mode))


@pytest.mark.parametrize("form", ["json", "binary", "grpc", "grpc-typed"])
def test_the_vectors_are_the_same_in_every_form(served, form):
    client = served(partial(sentence_model, then=("Normalize",)))
    answer = client.infer("m", {"text": elements(TEXTS)}, form=form)
    assert close(answer["embedding"], unit(embedded(client.made, TEXTS)))


def test_several_ways_of_pooling_stand_side_by_side(served):
    client = served(partial(sentence_model, pooling=["weightedmean", "cls"]))
    wanted = [embedded(client.made, TEXTS[:50], mode=mode) for mode in ("weightedmean", "cls")]
    assert close(vectors_of(client, TEXTS[:50]), np.concatenate(wanted, axis=1))
    assert client.metadata("m").json["parameters"]["pooling"] == "weightedmean+cls"


def test_the_keys_that_older_files_have_say_the_same(served, tmp_path):
    def make(folder):
        network = sentence_model(folder)
        keys = dict.fromkeys(OLD_KEYS.values(), False) | {OLD_KEYS["mean"]: True, OLD_KEYS["max"]: True}
        write(folder / "1_Pooling/config.json", {"word_embedding_dimension": WIDTH} | keys)
        write(folder / "sentence_bert_config.json", {"max_seq_length": 8, "do_lower_case": False})
        return network

    client = served(make)
    wanted = [embedded(client.made, TEXTS[:50], mode=mode, limit=8) for mode in ("max", "mean")]
    assert close(vectors_of(client, TEXTS[:50]), np.concatenate(wanted, axis=1))


def test_lower_case_counts_where_the_files_say_it(served):
    def make(folder):
        network = sentence_model(folder)
        made = tokenizer()
        made.normalizer = None
        made.save(str(folder / "tokenizer.json"))
        write(folder / "sentence_bert_config.json", {"do_lower_case": True})
        return network

    client = served(make)
    assert close(vectors_of(client, ["QUICK Fox"]), embedded(client.made, ["quick fox"]))


@pytest.mark.parametrize("mode", MODES)
def test_a_prompt_does_not_count_where_the_files_say_so(served, mode):
    client = served(partial(sentence_model, pooling=mode, include_prompt=False))
    made = tokenizer()
    made.enable_truncation(32)
    skipped = len(made.encode("query: ").ids) - 1
    given = TEXTS[:100]
    wanted = []
    for text in given:
        each = made.encode("query: " + text)
        vectors = client.made.token_vectors(each.ids, each.type_ids)
        if mode == "weightedmean":  # a token keeps the weight of its place behind the prompt
            places = np.arange(1, len(vectors) + 1)[skipped:, np.newaxis]
            wanted.append((vectors[skipped:] * places).sum(axis=0) / places.sum())
        else:
            wanted.append(pooled(vectors[skipped:], mode))
    assert close(vectors_of(client, given, prompt_name="query"), np.stack(wanted))


def test_prompts_stand_before_the_text(served):
    client = served(sentence_model)
    given = TEXTS[:50]
    assert close(vectors_of(client, given, prompt_name="passage"), embedded(client.made, given, prompt="passage: "))
    assert close(vectors_of(client, given, prompt="search "), embedded(client.made, given, prompt="search "))
    assert close(vectors_of(client, given), embedded(client.made, given))


def test_the_default_prompt_counts_unless_the_request_says_another(served):
    def make(folder):
        network = sentence_model(folder)
        said = {"prompts": {"query": "query: "}, "default_prompt_name": "query"}
        write(folder / "config_sentence_transformers.json", said)
        return network

    client = served(make)
    assert close(vectors_of(client, ["fox"]), embedded(client.made, ["fox"], prompt="query: "))
    assert close(vectors_of(client, ["fox"], prompt=""), embedded(client.made, ["fox"]))


def test_normalising_is_the_files_word_then_the_settings_then_the_requests(served):
    wanted = embedded(Transformer(), TEXTS[:20])
    client = served(partial(sentence_model, then=("Normalize",)))
    assert close(vectors_of(client, TEXTS[:20]), unit(wanted))
    assert close(vectors_of(client, TEXTS[:20], normalize=False), wanted)
    client = served(sentence_model, normalize=True)
    assert close(vectors_of(client, TEXTS[:20]), unit(wanted))
    client = served(sentence_model)
    assert close(vectors_of(client, TEXTS[:20]), wanted)
    assert close(vectors_of(client, TEXTS[:20], normalize=True), unit(wanted))


def test_shortened_vectors_are_normalised_again(served):
    client = served(partial(sentence_model, then=("Normalize",)))
    wanted = embedded(client.made, TEXTS[:20])[:, :5]
    assert close(vectors_of(client, TEXTS[:20], dimensions=5), unit(wanted))
    assert vectors_of(client, [], dimensions=5).shape == (0, 5)


def test_the_files_say_how_many_numbers_are_usual(served):
    def make(folder):
        network = sentence_model(folder)
        write(folder / "config_sentence_transformers.json", {"truncate_dim": 4})
        return network

    client = served(make)
    assert vectors_of(client, ["fox"]).shape == (1, 4)
    assert vectors_of(client, ["fox"], dimensions=6).shape == (1, 6)
    assert client.metadata("m").json["parameters"]["dimension"] == 4


def test_dense_and_layer_norm_are_computed(served):
    random = np.random.default_rng(5)
    weights = {"linear.weight": random.normal(size=(7, WIDTH)), "linear.bias": random.normal(size=7)}
    norm = {"norm.weight": random.normal(size=7), "norm.bias": random.normal(size=7)}

    def make(folder):
        network = sentence_model(folder, then=("Dense", "LayerNorm", "Dropout", "Normalize"))
        for name, arrays in (("2_Dense", weights), ("3_LayerNorm", norm)):
            (folder / name).mkdir()
            save_file(
                {key: each.astype(np.float32) for key, each in arrays.items()}, folder / name / "model.safetensors"
            )
        said = {"in_features": WIDTH, "out_features": 7, "activation_function": "torch.nn.modules.activation.Tanh"}
        write(folder / "2_Dense/config.json", said)
        return network

    client = served(make)
    dense = np.tanh(embedded(client.made, TEXTS[:50]) @ weights["linear.weight"].T + weights["linear.bias"])
    spread = np.sqrt(dense.var(axis=1, keepdims=True) + 1e-5)
    normed = (dense - dense.mean(axis=1, keepdims=True)) / spread * norm["norm.weight"] + norm["norm.bias"]
    assert close(vectors_of(client, TEXTS[:50]), unit(normed))


@pytest.mark.parametrize(
    "options",
    [
        {"inputs": ("input_ids", "attention_mask")},
        {"inputs": ("input_ids",)},
        {"integers": TensorProto.INT32},
        {"output": "token_embeddings", "pooled": "sentence_embedding"},
        {"output": "hidden"},
    ],
    ids=["no types", "no mask", "int32", "both outputs", "another name"],
)
def test_graphs_may_be_made_in_other_ways(served, options):
    client = served(partial(sentence_model, **options))
    if "token_type_ids" not in options.get("inputs", ("token_type_ids",)):
        client.made.weights["types"][:] = 0
    assert close(vectors_of(client, TEXTS[:100]), embedded(client.made, TEXTS[:100]))


def test_half_floats_of_a_graph_are_pooled_as_floats(served):
    client = served(partial(sentence_model, floats=TensorProto.FLOAT16))
    assert np.abs(vectors_of(client, TEXTS[:50]) - embedded(client.made, TEXTS[:50])).max() < 2e-3


def test_a_graph_that_pools_by_itself_is_taken_at_its_word(served):
    def make(folder):
        write_tokenizer(folder)
        network = Transformer()
        network.save(folder / "model.onnx", pooled="sentence_embedding")
        return network

    client = served(make)
    assert close(vectors_of(client, TEXTS[:100]), embedded(client.made, TEXTS[:100]))
    told = client.metadata("m").json["parameters"]
    assert (told["pooling"], told["normalized"]) == ("graph", None)
    answer = client.infer("m", {"text": ["fox"]}, parameters={"normalize": False})
    assert (answer.status, "ONNX graph" in answer.error) == (400, True)
    with pytest.raises(
        LoadFailed, match=r"parameters.extra.normalize is 'false', and model.onnx says 'what the graph makes'"
    ):
        served(make, normalize=False)
    client = served(make, normalize=True)
    assert close(vectors_of(client, TEXTS[:20]), unit(embedded(client.made, TEXTS[:20])))


def test_the_settings_say_how_to_pool_where_no_file_does(served):
    def make(folder):
        write_tokenizer(folder)
        network = Transformer()
        network.save(folder / "model.onnx")
        return network

    client = served(make, pooling="max")
    assert close(vectors_of(client, TEXTS[:50]), embedded(client.made, TEXTS[:50], mode="max"))


def test_without_a_token_to_pad_with_texts_of_one_length_go_together(served):
    def make(folder):
        network = sentence_model(folder)
        write(folder / "tokenizer_config.json", {"model_max_length": 32})
        return network

    client = served(make)
    assert close(vectors_of(client, TEXTS[:200]), embedded(client.made, TEXTS[:200]))


def test_the_vector_of_a_text_does_not_depend_on_the_size_of_batches(served):
    client = served(sentence_model, batch_tokens=50)
    assert close(vectors_of(client, TEXTS[:300]), embedded(client.made, TEXTS[:300]))


def test_ten_thousand_texts_come_back_in_their_order(served):
    client = served(sentence_model)
    given = texts(10_000, seed=4, most=12)
    assert close(vectors_of(client, given)[::17], embedded(client.made, given[::17]))


def test_threads_get_each_their_own_vectors(served):
    client = served(partial(sentence_model, then=("Normalize",)), batch_tokens=256)
    given = [texts(20, seed=seed) for seed in range(8)]
    wanted = [unit(embedded(client.made, each)) for each in given]
    faults = []

    def ask(number):
        for turn in range(25):
            which = (number + turn) % 8
            prompt = {"prompt": "query: "} if turn % 5 == 4 else {}
            found = vectors_of(client, given[which], **prompt)
            if not prompt and not close(found, wanted[which]):
                faults.append((number, turn))

    run_in_threads(ask, 8)
    assert faults == []


def test_the_numbers_of_tokens_come_where_they_are_asked_for(served):
    client = served(sentence_model)
    given = ["", "the fox", "fox " * 100]
    answer = client.infer("m", {"text": given}, outputs=["embedding", "tokens"])
    assert answer["tokens"].tolist() == [2, 4, 32]
    assert [output.name for output in client.infer("m", {"text": given}).response.outputs] == ["embedding"]
    assert client.infer("m", {"text": given}, outputs=["tokens"])["tokens"].tolist() == [2, 4, 32]


def test_a_batch_of_srv_gives_each_request_its_rows(tmp_path, srv_client):
    network = sentence_model(tmp_path)
    client = srv_client(
        {"name": "m", "runtime": "embeddings", "max_batch_size": 64, "parameters": {"uri": str(tmp_path)}}
    )
    wanted = embedded(network, TEXTS[:64])
    found = {}
    run_in_threads(lambda number: found.update({number: vectors_of(client, TEXTS[number : number + 3])}), 8)
    assert all(close(vectors, wanted[number : number + 3]) for number, vectors in found.items())
