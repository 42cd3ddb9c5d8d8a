"""What the files of a model's folder say: its tokenizer, its graph or vectors, and how these become one vector for a text.

Nothing here imports a library for models, because folders are looked at before one is chosen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from srv.errors import quoted
from srv_embeddings.errors import NoModelFile, UnfitFolder

Config: TypeAlias = Mapping[str, Any]

TOKENIZER, MODULES = "tokenizer.json", "modules.json"
#: Where an ONNX graph is looked for, in this order.
GRAPHS = ("model.onnx", "onnx/model.onnx")
VECTORS = "model.safetensors"
#: Files that only sentence-transformers writes.
_MARKS = (MODULES, "1_Pooling/config.json", "sentence_bert_config.json", "config_sentence_transformers.json")
#: How sentence-transformers called the ways of pooling before it had `pooling_mode`, in the order of their vectors.
_OLD_MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
MODES = tuple(_OLD_MODES.values())
#: Modules of sentence-transformers that may follow the pooling, by the last word of their class.
_STEPS = frozenset({"Normalize", "Dense", "LayerNorm", "Dropout"})
#: No limit of tokens is meant by numbers that are larger; transformers writes 10^30 where a tokenizer has none.
_NO_LIMIT = 10**9
#: Keys of sentence_bert_config.json with which a model reads its texts in another way.
_UNSERVED_KEYS = ("query_length", "document_length", "query_expansion")


@dataclass(frozen=True)
class Pooling:
    """How the vectors of a text's tokens become one: several modes give their vectors side by side."""

    modes: tuple[str, ...]
    #: Whether the tokens of a prompt count.
    include_prompt: bool = True

    @property
    def title(self) -> str:
        """How metadata and errors call it."""
        return "+".join(self.modes)


@dataclass(frozen=True)
class Step:
    """What is done with the vectors after the pooling: a module of sentence-transformers, with the folder of its weights."""

    kind: str
    folder: Path
    config: Config


@dataclass(frozen=True)
class TokenizerFiles:
    """What the files say of the tokenizer beside tokenizer.json."""

    file: Path
    max_tokens: int | None = None
    lower_case: bool = False
    truncation_side: str = "right"
    #: Whether the graph is told which of two texts a token is of.
    has_types: bool = True
    #: The padding's token, or its number; None where no file says it.
    pad: str | int | None = None


@dataclass(frozen=True)
class ModelFolder:
    """One model, as its files describe it. `kind` is transformer, static, model2vec, or reranker."""

    kind: str
    root: Path
    #: The ONNX graph, or the table of static vectors.
    model: Path
    tokenizer: TokenizerFiles
    pooling: Pooling | None = None
    steps: Sequence[Step] = ()
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str | None = None
    #: How many numbers of each vector are given where the client does not say it; None for all.
    dimensions: int | None = None
    similarity: str | None = None
    #: The class of torch that makes a reranker's score of its graph's output; None where no file says it.
    activation: str | None = None
    #: What config.json says.
    config: Config = field(default_factory=dict)


def recognises(file: Path) -> bool:
    """Return whether the folder of a tokenizer or of modules.json is served with no settings. Reads small files only."""
    root = file.parent
    try:
        return _recognises(root)
    except (
        UnfitFolder
    ):  # which loading tells, where the folder is one of sentence-transformers; others have such names too
        return any((root / name).is_file() for name in _MARKS) and any((root / name).is_file() for name in GRAPHS)


def _recognises(root: Path) -> bool:
    config = _read(root / "config.json")
    if config.get("model_type") == "model2vec":
        return (root / VECTORS).is_file()
    modules = _modules(root)
    if _static_folder(modules) is not None:
        return True
    has_graph = any((folder / name).is_file() for folder in (_first_folder(modules, root), root) for name in GRAPHS)
    has_marks = any((root / name).is_file() for name in _MARKS)
    return has_graph and (has_marks or (_is_reranker(config, 1) and _activation(config, {}) is not None))


def read_folder(root: Path, *, file: str | None = None) -> ModelFolder:
    """Read what the files say of a model. `file` names its ONNX graph in the folder.

    Raises UnfitFolder or NoModelFile where they say something that is not served.
    """
    config = _read(root / "config.json")
    modules = _modules(root)
    said = _read(root / "config_sentence_transformers.json")
    static = _static_folder(modules)
    if file is None and (config.get("model_type") == "model2vec" or static is not None):
        return _static(root, static or root, config, modules, said)
    first = _first_folder(modules, root)
    config = config or _read(first / "config.json")
    _check_reading(first)
    graph = _graph(root, first, file)
    tokenizer = _tokenizer(first, config)
    prompts, default = _prompts(said)
    if _is_reranker(config) or said.get("model_type") == "CrossEncoder":
        if default is not None or len(modules) > 1:
            raise UnfitFolder(MODULES, "describes a reranker with prompts or further modules, which is not served")
        activation = _activation(config, said)
        return ModelFolder("reranker", root, graph, tokenizer, activation=activation, config=config)
    pooling, steps = _after_the_graph(root, modules)
    return ModelFolder(
        "transformer",
        root,
        graph,
        tokenizer,
        pooling=pooling,
        steps=steps,
        prompts=prompts,
        default_prompt=default,
        dimensions=_count_of(said, "truncate_dim", "config_sentence_transformers.json"),
        similarity=said.get("similarity_fn_name"),
        config=config,
    )


def _read(file: Path) -> dict[str, Any]:
    """Return the object in a JSON file; an empty one where the file is not there."""
    if not file.is_file():
        return {}
    found = _json(file)
    if not isinstance(found, dict):
        raise UnfitFolder(file.name, "holds no JSON object")
    return found


def _count_of(said: Config, key: str, file: str) -> int | None:
    """Return a number of things that a file says; None where it says none."""
    found = said.get(key)
    if found is not None and (type(found) is not int or found < 1):
        raise UnfitFolder(file, f"has a {key} that is no count: {quoted(found)}")
    return found


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except ValueError as error:
        raise UnfitFolder(file.name, f"holds no JSON: {error}") from None


def _modules(root: Path) -> list[tuple[str, Path]]:
    """Return the modules of modules.json in order: the class without its package, and the folder."""
    file = root / MODULES
    if not file.is_file():
        return []
    found = []
    modules = _json(file)
    if not isinstance(modules, list) or not all(isinstance(module, dict) for module in modules):
        raise UnfitFolder(MODULES, "holds no list of modules")
    for module in modules:
        kind = str(module.get("type", ""))
        if not kind.startswith("sentence_transformers."):
            raise UnfitFolder(MODULES, f"names the module '{kind}', which is code of the model's own and is not run")
        found.append((kind.rpartition(".")[2], root / str(module.get("path", ""))))
    return found


def _first_folder(modules: Sequence[tuple[str, Path]], root: Path) -> Path:
    """Return the folder of the module that reads the texts, which is the model's own but in older models."""
    return modules[0][1] if modules else root


def _static_folder(modules: Sequence[tuple[str, Path]]) -> Path | None:
    """Return the folder of a static model's vectors in a folder of sentence-transformers; None for other models."""
    return modules[0][1] if modules and modules[0][0] == "StaticEmbedding" else None


def _static(root: Path, folder: Path, config: Config, modules: Sequence[tuple[str, Path]], said: Config) -> ModelFolder:
    if not (folder / VECTORS).is_file():
        raise NoModelFile([VECTORS], has_weights=False)
    tokenizer = TokenizerFiles(folder / TOKENIZER)
    prompts, default = _prompts(said)
    if config.get("model_type") == "model2vec":
        # modules.json says the same in other words, for those who read the folder with sentence-transformers
        return ModelFolder("model2vec", root, folder / VECTORS, tokenizer, config=config)
    return ModelFolder(
        "static",
        root,
        folder / VECTORS,
        tokenizer,
        steps=_steps(modules[1:]),
        prompts=prompts,
        default_prompt=default,
        dimensions=_count_of(said, "truncate_dim", "config_sentence_transformers.json"),
        similarity=said.get("similarity_fn_name"),
        config=config,
    )


def _graph(root: Path, first: Path, file: str | None) -> Path:
    for name in (file,) if file is not None else GRAPHS:
        for folder in (first, root):
            if (folder / name).is_file():
                return folder / name
    has_weights = any((folder / name).exists() for folder in (first, root) for name in (VECTORS, "pytorch_model.bin"))
    raise NoModelFile([file] if file is not None else GRAPHS, has_weights=has_weights and file is None)


def _tokenizer(root: Path, config: Config) -> TokenizerFiles:
    own = _read(root / "tokenizer_config.json")
    reading = _read(root / "sentence_bert_config.json")
    limit = _count_of(reading, "max_seq_length", "sentence_bert_config.json")
    if limit is None:
        most = [own.get("model_max_length"), config.get("max_position_embeddings")]
        limits = [int(each) for each in most if isinstance(each, int | float) and 0 < each < _NO_LIMIT]
        limit = min(limits, default=None)
    return TokenizerFiles(
        root / TOKENIZER,
        max_tokens=limit,
        lower_case=bool(reading.get("do_lower_case", False)),
        truncation_side=own.get("truncation_side", "right"),
        has_types="token_type_ids" in own.get("model_input_names", ("token_type_ids",)),
        pad=_pad(root, own, config),
    )


def _pad(root: Path, own: Config, config: Config) -> str | int | None:
    for said in (own, _read(root / "special_tokens_map.json")):
        token = said.get("pad_token")
        token = token.get("content") if isinstance(token, dict) else token
        if isinstance(token, str):
            return token
    number = config.get("pad_token_id")
    return number if isinstance(number, int) else None


def _check_reading(root: Path) -> None:
    """Refuse models that read their texts otherwise than by the tokenizer alone."""
    name = "sentence_bert_config.json"
    reading = _read(root / name)
    task = reading.get("transformer_task", "feature-extraction")
    if task not in ("feature-extraction", "sequence-classification"):
        raise UnfitFolder(name, f"has the transformer_task '{task}', which is not served")
    if "text" not in reading.get("modality_config", {"text": {}}):
        raise UnfitFolder(name, "describes a model that reads no plain text, which is not served")
    for key in _UNSERVED_KEYS:
        if reading.get(key) is not None:
            raise UnfitFolder(name, f"sets {key}, which is not served")
    if any((reading.get("processing_kwargs") or {}).values()):
        raise UnfitFolder(name, "sets processing_kwargs, which are not served")


def _prompts(said: Config) -> tuple[dict[str, str], str | None]:
    named = said.get("prompts") or {}
    if not isinstance(named, dict):
        raise UnfitFolder("config_sentence_transformers.json", "has prompts without names")
    prompts = {str(name): str(prompt) for name, prompt in named.items() if prompt is not None}
    default = said.get("default_prompt_name")
    if default is not None and default not in prompts:
        raise UnfitFolder(
            "config_sentence_transformers.json", f"names the default prompt '{default}', which is not among its prompts"
        )
    return prompts, default


def _is_reranker(config: Config, labels: int | None = None) -> bool:
    """Whether config.json is that of a classifier, with so many labels."""
    architectures = config.get("architectures") or []
    if not any(str(each).endswith("ForSequenceClassification") for each in architectures):
        return False
    return labels is None or labels_of(config) == labels


def labels_of(config: Config) -> int:
    """Return how many labels a classifier has, as transformers reads it: two where nothing is said."""
    names = config.get("id2label")
    return len(names) if isinstance(names, dict) else int(config.get("num_labels", 2))


def _activation(config: Config, said: Config) -> str | None:
    own = config.get("sentence_transformers")
    in_config = own.get("activation_fn") if isinstance(own, dict) else None
    found = said.get("activation_fn") or in_config or config.get("sbert_ce_default_activation_function")
    return str(found) if found is not None else None


def _after_the_graph(root: Path, modules: Sequence[tuple[str, Path]]) -> tuple[Pooling | None, Sequence[Step]]:
    """Return what the files say of a text's way from its tokens' vectors to its own."""
    if not modules:
        folder = root / "1_Pooling"
        further = [each.name for each in sorted(root.glob("[2-9]_*")) if each.is_dir()]
        if further:
            raise UnfitFolder(
                further[0], f"belongs to a list of modules, and {MODULES} is missing, which says the order"
            )
        return (_pooling(folder) if (folder / "config.json").is_file() else None), ()
    if modules[0][0] != "Transformer":
        raise UnfitFolder(MODULES, f"begins with {modules[0][0]}, which is not served")
    rest = modules[1:]
    if rest and rest[0][0] == "Pooling":
        return _pooling(rest[0][1]), _steps(rest[1:])
    return None, _steps(rest)


def _pooling(folder: Path) -> Pooling:
    name = f"{folder.name}/config.json"
    if not (folder / "config.json").is_file():
        raise UnfitFolder(name, "is missing, which says how to pool. Copy it from where the model comes from")
    config = _read(folder / "config.json")
    found = config.get("pooling_mode")
    if found is None:
        modes = tuple(mode for key, mode in _OLD_MODES.items() if config.get(key))
    else:
        modes = tuple(map(str, found)) if isinstance(found, list) else (str(found),)
    for mode in modes:
        if mode not in MODES:
            raise UnfitFolder(name, f"pools by '{mode}', which is not served")
    if not modes:
        raise UnfitFolder(name, "names no way of pooling")
    return Pooling(modes, bool(config.get("include_prompt", True)))


def _steps(modules: Sequence[tuple[str, Path]]) -> list[Step]:
    steps = []
    for kind, folder in modules:
        if kind not in _STEPS:
            raise UnfitFolder(MODULES, f"names the module '{kind}', which is not served")
        config = _read(folder / "config.json")
        inner = config.get("module_input_name", "sentence_embedding")
        outer = config.get("module_output_name") or inner
        if (inner, outer) != ("sentence_embedding", "sentence_embedding"):
            raise UnfitFolder(
                f"{folder.name}/config.json", f"reads '{inner}' and writes '{outer}', which is not served"
            )
        if kind != "Dropout":  # which does nothing but in training
            steps.append(Step(kind, folder, config))
    return steps
