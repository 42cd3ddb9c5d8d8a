"""Which folders are served, for which task, and which are refused with what reason."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_models
import torch
from safetensors.torch import load_file

from srv import ModelSettings
from srv.errors import SrvError
from srv.model_settings import ModelParameters
from srv_huggingface import HuggingFaceRuntime
from srv_huggingface.folders import task_of


def load(folder, *, allow_pickle=False, operator=None, **extra):
    settings = ModelSettings(
        name="m",
        folder=folder,
        parameters=ModelParameters(extra=extra),
        operator_allows_pickle=allow_pickle,
        operator_extra=operator or {},
    )
    runtime = HuggingFaceRuntime(settings)
    runtime.load()
    return runtime


@pytest.mark.parametrize(
    "architecture, kind, task",
    [
        ("DistilBertForSequenceClassification", "distilbert", "text-classification"),
        ("RobertaForTokenClassification", "roberta", "token-classification"),
        ("XLMRobertaForMaskedLM", "xlm-roberta", "fill-mask"),
        ("BertForQuestionAnswering", "bert", "question-answering"),
        ("LlamaForCausalLM", "llama", "text-generation"),
        ("GPT2LMHeadModel", "gpt2", "text-generation"),
        ("T5ForConditionalGeneration", "t5", "text2text-generation"),
        ("MarianMTModel", "marian", "text2text-generation"),
        ("WhisperForConditionalGeneration", "whisper", "automatic-speech-recognition"),
        ("Wav2Vec2ForCTC", "wav2vec2", "automatic-speech-recognition"),
        ("ViTForImageClassification", "vit", "image-classification"),
    ],
)
def test_the_architecture_says_the_task(tmp_path, architecture, kind, task):
    assert task_of(tmp_path, {"architectures": [architecture], "model_type": kind}, None) == task


def test_a_bare_model_with_a_tokenizer_gives_features(tmp_path):
    config = {"architectures": ["BertModel"], "model_type": "bert"}
    with pytest.raises(SrvError, match=r"'BertModel' in config.json does not say which task"):
        task_of(tmp_path, config, None)
    (tmp_path / "tokenizer.json").touch()
    assert task_of(tmp_path, config, None) == "feature-extraction"


@pytest.mark.parametrize("said, task", [("ner", "token-classification"), ("sentiment-analysis", "text-classification")])
def test_the_settings_may_say_the_task_in_other_words(tmp_path, said, task):
    assert task_of(tmp_path, {}, said) == task


def test_an_unknown_task_is_refused_with_the_nearest_one(tmp_path):
    with pytest.raises(SrvError, match=r"'fill_mask', which srv-huggingface does not serve.*Did you mean 'fill-mask'"):
        task_of(tmp_path, {}, "fill_mask")


def test_a_model_whose_task_nobody_knows_asks_for_it(tmp_path):
    with pytest.raises(SrvError, match=r"'LlavaForConditionalGeneration' in config.json does not say which task"):
        task_of(tmp_path, {"architectures": ["LlavaForConditionalGeneration"], "model_type": "llava"}, None)


def test_nothing_is_pooled_that_the_settings_do_not_say(tmp_path):
    tiny_models.bert(tmp_path, "Model")
    (tmp_path / "modules.json").write_text("[]")
    assert not HuggingFaceRuntime.recognise(tmp_path / "model.safetensors")
    with pytest.raises(SrvError, match=r"modules.json says .* pooling, which srv-embeddings does"):
        load(tmp_path)
    assert load(tmp_path, task="feature-extraction").parameters["task"] == "feature-extraction"


def test_a_model_without_the_weights_of_its_task_is_not_loaded(tmp_path):
    tiny_models.bert(tmp_path, "Model")
    with pytest.raises(SrvError, match=r"not trained for the task text-classification: .* classifier.bias"):
        load(tmp_path, task="text-classification")


@pytest.mark.parametrize(
    "extra, said",
    [
        ({"parameters": {"topk": 1}}, "parameters.extra.parameters does not fit"),
        ({"device": "cuda"}, "parameters.extra.device is 'cuda', which cannot be used here"),
        ({"device": "abacus"}, "parameters.extra.device is 'abacus', which cannot be used here"),
    ],
    ids=["unknown parameter", "no GPU", "no device"],
)
def test_settings_that_cannot_be_are_refused(tmp_path, extra, said):
    if extra.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("There is a GPU.")
    with pytest.raises(SrvError, match=said):
        load(tiny_models.bert(tmp_path), **extra)


def test_the_precision_is_that_of_the_settings(tmp_path):
    tiny_models.bert(tmp_path)
    assert load(tmp_path)._task.model.dtype == torch.float32
    assert load(tmp_path, dtype="bfloat16")._task.model.dtype == torch.bfloat16


@pytest.mark.parametrize("content, said", [("{", "it is not JSON"), ("[]", "it holds no object"), ("{}", "neither")])
def test_a_config_of_something_else_is_refused(tmp_path, content, said):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(SrvError, match=said):
        load(tmp_path)


def test_a_folder_without_weights_is_refused(tmp_path):
    tiny_models.bert(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(SrvError, match=r"No model\.safetensors or model\.safetensors\.index\.json is beside config"):
        load(tmp_path)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
    tiny_models.bert(tmp_path)
    for file in tmp_path.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(SrvError, match=r"The tokenizer of the model could not be read"):
        load(tmp_path)


def test_pickles_are_read_by_the_operators_word_alone(tmp_path):
    tiny_models.bert(tmp_path)
    torch.save(load_file(tmp_path / "model.safetensors"), tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()

    with pytest.raises(
        SrvError, match=r"pytorch_model.bin is a pickle, .* a file that travels with the model is not asked"
    ):
        load(tmp_path)
    assert load(tmp_path, allow_pickle=True).parameters["architecture"] == "BertForSequenceClassification"


def test_code_of_the_folder_runs_by_the_operators_word_alone(tmp_path, monkeypatch):
    tiny_models.bert(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    names = {"AutoConfig": "own.OwnConfig", "AutoModelForSequenceClassification": "own.Own"}
    config |= {"model_type": "own", "auto_map": names, "architectures": ["OwnForSequenceClassification"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "own.py").write_text(
        "from transformers import BertConfig, BertForSequenceClassification\n"
        "class OwnConfig(BertConfig):\n    model_type = 'own'\n"
        "class Own(BertForSequenceClassification):\n    config_class = OwnConfig\n"
    )
    for extra in ({}, {"trust_remote_code": True}):
        with pytest.raises(SrvError, match=r"needs code of its own.*trust_remote_code.*is not asked"):
            load(tmp_path, **extra)
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(tmp_path / "cache")
    runtime = load(tmp_path, task="text-classification", operator={"trust_remote_code": True})
    assert type(runtime._task.model).__name__ == "Own"


def test_weights_in_several_files_are_served(tmp_path):
    import transformers

    tiny_models.bert(tmp_path)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    model.save_pretrained(tmp_path, max_shard_size="30KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    assert HuggingFaceRuntime.recognise(tmp_path / "model.safetensors.index.json")

    loaded = load(tmp_path)._task.model

    for name, weight in model.state_dict().items():
        assert torch.equal(weight, loaded.state_dict()[name])


def test_other_libraries_folders_are_not_recognised(tmp_path):
    tiny_models.bert(tmp_path)
    assert HuggingFaceRuntime.recognise(tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"model_type": "model2vec", "architectures": ["StaticModel"]}')
    assert not HuggingFaceRuntime.recognise(tmp_path / "model.safetensors")
    (tmp_path / "config.json").unlink()
    assert not HuggingFaceRuntime.recognise(tmp_path / "model.safetensors")


def test_recognising_a_folder_imports_nothing_heavy(tmp_path):
    tiny_models.bert(tmp_path)
    program = (
        "import sys; from pathlib import Path; from srv_huggingface import HuggingFaceRuntime as R; "
        "assert R.recognise(Path(sys.argv[1])); print({'torch', 'transformers', 'tokenizers'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, tmp_path / "model.safetensors"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("make", [tiny_models.bert, tiny_models.gpt2, tiny_models.vit, tiny_models.whisper])
def test_loading_asks_nothing_of_the_network(tmp_path, monkeypatch, make):
    def refuse(*_, **__):
        raise AssertionError("The network was asked.")

    make(tmp_path)
    for name in ("create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    load(tmp_path)


def test_the_folder_is_not_written_to(tmp_path):
    tiny_models.gpt2(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in Path(tmp_path).rglob("*")}
    load(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in Path(tmp_path).rglob("*")} == before
