"""Tiny models with random weights for tests, in the folders that sentence-transformers and model2vec write; and what they
must give, computed for one text after the other without padding."""

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save_model
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

WIDTH = 16
CORPUS = [
    "the quick brown fox jumps over the lazy dog",
    "models serve vectors for search",
    "query: passage: to be or not to be",
    "naïve Straße",
]
SENTENCE = "the quick brown fox jumps over lazy dog serve vectors search naïve Straße 日本 😀 zebra QUICK"
WORDS = SENTENCE.split()


def texts(count: int, *, seed: int = 0, most: int = 40) -> list[str]:
    """Random texts of many lengths, a few of them empty."""
    random = np.random.default_rng(seed)
    lengths = random.integers(0, most, count)
    return [" ".join(random.choice(WORDS, length).tolist()) for length in lengths]


def tokenizer() -> Tokenizer:
    """A WordPiece tokenizer like BERT's, trained on a few sentences."""
    return Tokenizer.from_str(_trained())


@cache  # because two trainings may give tokens different numbers
def _trained() -> str:
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=120, show_progress=False, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    )
    made.train_from_iterator(CORPUS, trainer)
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, made.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    return str(made.to_str())


@dataclass
class Transformer:
    """A network whose every token sees the mean of all tokens that are attended, so that a wrong mask changes all."""

    seed: int = 0
    places: int = 64
    labels: int = 0
    weights: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        random = np.random.default_rng(self.seed)
        size = tokenizer().get_vocab_size()
        shapes = {"words": (size, WIDTH), "types": (2, WIDTH), "places": (self.places, WIDTH), "mix": (WIDTH, WIDTH)}
        if self.labels:
            shapes["head"] = (WIDTH, self.labels)
        self.weights = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}

    def token_vectors(self, ids: list[int], types: list[int]) -> np.ndarray:
        """The vectors of one text's tokens, computed by NumPy."""
        w = self.weights
        hidden = w["words"][ids] + w["types"][types] + w["places"][: len(ids)]
        return np.tanh(hidden + hidden.mean(axis=0) @ w["mix"])

    def logits(self, ids: list[int], types: list[int]) -> np.ndarray:
        """The outputs of one text's classification."""
        return self.token_vectors(ids, types)[0] @ self.weights["head"]

    def save(self, file: Path, **options: Any) -> None:
        """Write the network as an ONNX graph."""
        file.parent.mkdir(parents=True, exist_ok=True)
        save_model(self.graph(**options), file)

    def graph(
        self,
        *,
        output: str = "last_hidden_state",
        pooled: str | None = None,
        inputs: tuple[str, ...] = ("input_ids", "attention_mask", "token_type_ids"),
        integers: int = TensorProto.INT64,
        floats: int = TensorProto.FLOAT,
        shape: tuple[Any, Any] = ("texts", "tokens"),
    ) -> Any:
        """The network as ONNX: `pooled` is a further output with the mean of the vectors, `inputs` those that it has."""
        node = helper.make_node
        nodes = [
            node("Cast", ["input_ids"], ["ids"], to=TensorProto.INT64),
            node("Gather", ["words", "ids"], ["of_words"]),
            node("Shape", ["ids"], ["shape"]),
            node("Gather", ["shape", "one"], ["length"]),
            node("Range", ["zero", "length", "one"], ["range"]),
            node("Gather", ["places", "range"], ["of_places"]),
            node("Add", ["of_words", "of_places"], ["placed"]),
        ]
        hidden = "placed"
        if "token_type_ids" in inputs:
            nodes += [
                node("Cast", ["token_type_ids"], ["type_ids"], to=TensorProto.INT64),
                node("Gather", ["types", "type_ids"], ["of_types"]),
                node("Add", ["placed", "of_types"], ["typed"]),
            ]
            hidden = "typed"
        if "attention_mask" in inputs:
            nodes += [node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT)]
        else:
            nodes += [
                node("Cast", ["ids"], ["as_floats"], to=TensorProto.FLOAT),
                node("Mul", ["as_floats", "nought"], ["noughts"]),
            ]
            nodes += [node("Add", ["noughts", "unit"], ["mask"])]
        nodes += [
            node("Unsqueeze", ["mask", "last"], ["wide"]),
            node("Mul", [hidden, "wide"], ["masked"]),
            node("ReduceSum", ["masked", "middle"], ["sum"], keepdims=1),
            node("ReduceSum", ["wide", "middle"], ["count"], keepdims=1),
            node("Div", ["sum", "count"], ["mean"]),
            node("MatMul", ["mean", "mix"], ["mixed"]),
            node("Add", [hidden, "mixed"], ["whole"]),
            node("Tanh", ["whole"], ["vectors"]),
            node("Cast", ["vectors"], [output], to=floats),
        ]
        outputs = [helper.make_tensor_value_info(output, floats, ["texts", "tokens", WIDTH])]
        if pooled is not None:
            nodes += [
                node("Mul", ["vectors", "wide"], ["counting"]),
                node("ReduceSum", ["counting", "middle"], ["total"], keepdims=0),
                node("ReduceSum", ["wide", "middle"], ["many"], keepdims=0),
                node("Div", ["total", "many"], [pooled]),
            ]
            outputs.append(helper.make_tensor_value_info(pooled, TensorProto.FLOAT, ["texts", WIDTH]))
        if self.labels:
            nodes += [
                node("Gather", ["vectors", "zero"], ["first"], axis=1),
                node("MatMul", ["first", "head"], ["logits"]),
            ]
            outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["texts", self.labels])]
        constants = {
            "zero": np.int64(0),
            "one": np.int64(1),
            "last": np.array([2]),
            "middle": np.array([1]),
            "nought": np.float32(0),
            "unit": np.float32(1),
        }
        initializers = [
            numpy_helper.from_array(np.asarray(value), name) for name, value in (constants | self.weights).items()
        ]
        taken = [helper.make_tensor_value_info(name, integers, shape) for name in inputs]
        graph = helper.make_graph(nodes, "tiny", taken, outputs, initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def write_tokenizer(folder: Path, *, limit: int = 32, **said: Any) -> None:
    """Write tokenizer.json and what transformers writes beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer().save(str(folder / "tokenizer.json"))
    write(folder / "tokenizer_config.json", {"model_max_length": limit, "pad_token": "[PAD]"} | said)
    write(folder / "config.json", {"architectures": ["BertModel"], "max_position_embeddings": 64})


def write(file: Path, content: Any) -> None:
    """Write JSON, making the folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))


def sentence_model(
    folder: Path,
    *,
    pooling: Any = "mean",
    include_prompt: bool = True,
    then: tuple[str, ...] = (),
    limit: int = 32,
    file: str = "onnx/model.onnx",
    prompts: dict[str, str] | None = None,
    **options: Any,
) -> Transformer:
    """Write a folder as sentence-transformers does, with an ONNX graph; `then` are modules after the pooling."""
    write_tokenizer(folder, limit=limit)
    network = Transformer()
    network.save(folder / file, **options)
    kinds = ["Transformer", "Pooling", *then]
    write(
        folder / "modules.json",
        [
            {"idx": place, "path": f"{place}_{kind}" if place else "", "type": f"sentence_transformers.models.{kind}"}
            for place, kind in enumerate(kinds)
        ],
    )
    write(folder / "1_Pooling/config.json", {"pooling_mode": pooling, "include_prompt": include_prompt})
    said = {"prompts": {"query": "query: ", "passage": "passage: "} if prompts is None else prompts}
    write(folder / "config_sentence_transformers.json", said | {"similarity_fn_name": "cosine"})
    return network


def reranking_model(folder: Path, *, activation: str | None = None, labels: int = 1, limit: int = 32) -> Transformer:
    """Write a folder with a cross encoder that gives one logit."""
    write_tokenizer(folder, limit=limit)
    names = {str(label): f"LABEL_{label}" for label in range(labels)}
    config = {"architectures": ["BertForSequenceClassification"], "id2label": names, "max_position_embeddings": 64}
    if activation is not None:
        config["sentence_transformers"] = {"activation_fn": activation}
    write(folder / "config.json", config)
    network = Transformer(labels=labels)
    network.save(folder / "model.onnx")
    return network


def static_model(folder: Path, *, own: bool = True, normalize: bool = True, **tensors: Any) -> np.ndarray:
    """Write a static model, as model2vec does or else as sentence-transformers does, and return its vectors."""
    folder.mkdir(parents=True, exist_ok=True)
    made = tokenizer()
    vectors = np.random.default_rng(3).normal(size=(made.get_vocab_size(), WIDTH)).astype(np.float32)
    inner = folder if own else folder / "0_StaticEmbedding"
    inner.mkdir(exist_ok=True)
    made.save(str(inner / "tokenizer.json"))
    save_file({"embeddings" if own else "embedding.weight": vectors} | tensors, inner / "model.safetensors")
    kinds = ["StaticEmbedding", *(["Normalize"] if normalize else [])]
    paths = ["." if own else inner.name, "1_Normalize"]
    modules = [
        {"path": path, "type": f"sentence_transformers.models.{kind}"} for kind, path in zip(kinds, paths, strict=False)
    ]
    write(folder / "modules.json", modules)
    if own:
        write(folder / "config.json", {"model_type": "model2vec", "normalize": normalize})
    else:
        write(folder / "config_sentence_transformers.json", {"prompts": {}, "default_prompt_name": None})
    return vectors


def pooled(vectors: np.ndarray, mode: str) -> np.ndarray:
    """What a way of pooling gives for the vectors of one text's tokens."""
    places = np.arange(1, len(vectors) + 1)[:, np.newaxis]
    return {
        "cls": lambda: vectors[0],
        "max": lambda: vectors.max(axis=0),
        "mean": lambda: vectors.mean(axis=0),
        "mean_sqrt_len_tokens": lambda: vectors.sum(axis=0) / np.sqrt(len(vectors)),
        "weightedmean": lambda: (vectors * places).sum(axis=0) / places.sum(),
        "lasttoken": lambda: vectors[-1],
    }[mode]()


def embedded(
    network: Transformer, given: list[str], *, mode: str = "mean", limit: int = 32, prompt: str = ""
) -> np.ndarray:
    """The vectors of texts, one after the other."""
    made = tokenizer()
    made.enable_truncation(limit)
    encodings = [made.encode(prompt + text) for text in given]
    return np.stack([pooled(network.token_vectors(each.ids, each.type_ids), mode) for each in encodings])


def unit(vectors: np.ndarray) -> np.ndarray:
    """The vectors with the length 1."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
