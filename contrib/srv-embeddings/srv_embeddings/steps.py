"""What is done with the vectors of texts after the pooling: the modules of sentence-transformers, in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from srv_embeddings.errors import UnfitFolder
from srv_embeddings.folder import VECTORS, Step
from srv_embeddings.pooling import Array

#: Takes the vectors of texts and returns others.
Apply: TypeAlias = Callable[[Array], Array]

_ACTIVATIONS: Mapping[str, Apply] = {
    "Identity": lambda x: x,
    "ReLU": lambda x: np.maximum(x, 0),
    "SiLU": lambda x: x * sigmoid(x),
    "Sigmoid": lambda x: sigmoid(x),
    "Tanh": np.tanh,
}


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)) without an overflow on either side."""
    half: Array = 0.5 * (1 + np.tanh(0.5 * x))
    return half


def normalised(vectors: Array) -> Array:
    """Return the vectors with the length 1; a vector of zeros stays as it is."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Array = vectors / np.maximum(lengths, np.float32(1e-12))
    return unit


def activation(path: str, file: str) -> Apply:
    """Return the function that the path of a class of torch means, such as `torch.nn.modules.activation.Tanh`."""
    name = path.rpartition(".")[2]
    if not path.startswith("torch.") or name not in _ACTIVATIONS:
        raise UnfitFolder(file, f"names the activation '{path}', which is not served")
    return _ACTIVATIONS[name]


def made(steps: Sequence[Step]) -> list[Apply]:
    """Return the functions of modules, with their weights read."""
    return [_MAKERS[step.kind](step) for step in steps]


def _dense(step: Step) -> Apply:
    name = f"{step.folder.name}/config.json"
    weights = _weights(step.folder)
    matrix = np.ascontiguousarray(_tensor(weights, "linear.weight", step).T)
    bias = _tensor(weights, "linear.bias", step) if step.config.get("bias", True) else None
    function = activation(step.config.get("activation_function", "torch.nn.modules.activation.Tanh"), name)
    is_residual = bool(step.config.get("use_residual", False))
    residual = np.ascontiguousarray(weights["residual.weight"].T) if "residual.weight" in weights else None

    def apply(vectors: Array) -> Array:
        result = vectors @ matrix
        result = function(result if bias is None else result + bias)
        if not is_residual:
            return result
        return result + (vectors if residual is None else vectors @ residual)

    return apply


def _layer_norm(step: Step) -> Apply:
    weights = _weights(step.folder)
    weight, bias = _tensor(weights, "norm.weight", step), _tensor(weights, "norm.bias", step)

    def apply(vectors: Array) -> Array:
        spread = np.sqrt(vectors.var(axis=1, keepdims=True) + np.float32(1e-5))
        result: Array = (vectors - vectors.mean(axis=1, keepdims=True)) / spread * weight + bias
        return result

    return apply


_MAKERS: Mapping[str, Callable[[Step], Apply]] = {
    "Dense": _dense,
    "LayerNorm": _layer_norm,
    "Normalize": lambda _: normalised,
}


def _weights(folder: Path) -> dict[str, Array]:
    file = folder / VECTORS
    if not file.is_file():
        where = f"{folder.name}/{VECTORS}"
        raise UnfitFolder(
            where, "is missing; weights in a pickle (pytorch_model.bin) are code and are not read. Save the model anew"
        )
    return read_tensors(file)


def _tensor(weights: Mapping[str, Array], name: str, step: Step) -> Array:
    if name not in weights:
        raise UnfitFolder(f"{step.folder.name}/{VECTORS}", f"has no tensor '{name}'")
    return weights[name].astype(np.float32, copy=False)


def read_tensors(file: Path) -> dict[str, Any]:
    """Return the arrays of a safetensors file by name."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return dict(load_file(file))
    except (SafetensorError, KeyError, TypeError, AttributeError) as error:  # of bfloat16, which NumPy has not
        raise UnfitFolder(file.name, f"cannot be read: {type(error).__name__}: {error}") from None
