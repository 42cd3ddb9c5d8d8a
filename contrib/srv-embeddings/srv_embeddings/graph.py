"""The ONNX graph of a transformer: what it takes, and what it gives."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # the module is imported by load, because this library is heavy

from srv.errors import listed
from srv_embeddings.errors import UnfitFolder
from srv_embeddings.pooling import Array
from srv_embeddings.tokens import Batch

#: The output in which a graph that pools gives the vectors of texts, as optimum and sentence-transformers call it.
SENTENCE = "sentence_embedding"
#: The outputs with the vectors of tokens, likewise.
TOKENS = ("token_embeddings", "last_hidden_state")
_INPUTS = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
_INTEGERS = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
_FLOATS = ("tensor(float)", "tensor(float16)", "tensor(double)")
#: Where in its own source onnxruntime has raised, with the signature of the function.
_PLACE_IN_SOURCE = re.compile(
    r"[\w/.-]+\.(cc|h|cpp):\d+ (([^()]*? )?[\w:~]+::[\w~]+\(([^()]|\([^()]*\))*\)( const)?(::<lambda\([^)]*\)>)? )?"
)
#: A failure in an operator, by values or shapes that it does not take.
_BY_VALUES = re.compile(r"\[ONNXRuntimeError\] : [126] : .*while running (\w+) node", re.DOTALL)
_NOT_BY_VALUES = re.compile(r"alloc|memory", re.IGNORECASE)


def refusing_operator(error: Exception) -> str | None:
    """Return the operator that does not take the values of a request; None for errors of another cause."""
    found = _BY_VALUES.match(str(error))
    return None if found is None or _NOT_BY_VALUES.search(str(error)) else found[1]


def _said_by(error: Exception) -> str:
    """Return onnxruntime's message without its code and without places in its source."""
    said = str(error).rpartition("[ONNXRuntimeError]")[2].split(" : ", 3)[-1]
    return _PLACE_IN_SOURCE.sub("", said).strip()


class Graph:
    """Runs an ONNX graph on batches of tokens, from any number of threads: onnxruntime lets the interpreter go while it runs."""

    def __init__(self, file: Path, name: str, *, threads: int) -> None:
        """Read the graph; `name` is how errors call the file."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # because its warnings are about the graph's making and go past srv's log
        # Threads that spin while they wait take the cores from the requests beside.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001 - the library raises classes of a private module
            raise UnfitFolder(name, f"is no graph that this onnxruntime runs: {_said_by(error)}") from None
        self._options = onnxruntime.RunOptions()
        self._options.log_severity_level = 4  # because what it raises would go to stderr too
        self._name = name
        self._inputs: dict[str, Any] = {}
        for given in self._session.get_inputs():
            self._inputs[given.name] = self._type_of(given)
        if "input_ids" not in self._inputs:
            raise UnfitFolder(name, f"takes {listed(self._inputs)} and no input_ids, so it is no model of tokens")
        self.outputs: dict[str, int] = {
            each.name: len(each.shape) for each in self._session.get_outputs() if each.type in _FLOATS
        }

    @property
    def may_pad(self) -> bool:
        """Whether the graph is told which tokens are padding."""
        return "attention_mask" in self._inputs

    def run(self, batch: Batch, output: str) -> Array:
        """Return one output for a batch, as FP32."""
        feeds = {name: self._feed(name, batch).astype(kind, copy=False) for name, kind in self._inputs.items()}
        [result] = self._session.run([output], feeds, self._options)
        return np.asarray(result).astype(np.float32, copy=False)

    def token_output(self, wanted: str | None) -> str | None:
        """Return the output with the vectors of tokens; None where the graph has none."""
        return self._chosen(wanted, TOKENS, rank=3)

    def score_output(self, wanted: str | None) -> str:
        """Return the output with the score of each pair."""
        found = self._chosen(wanted, ("logits",), rank=2)
        if found is None:
            raise UnfitFolder(self._name, f"gives {listed(self.outputs)}, and no scores of the rank 2 among them")
        return found

    def _chosen(self, wanted: str | None, usual: Sequence[str], *, rank: int) -> str | None:
        ranked = [name for name, found in self.outputs.items() if found == rank]
        if wanted is not None:
            if wanted not in ranked:
                raise UnfitFolder(
                    self._name, f"has no output '{wanted}' of the rank {rank}, which parameters.extra.output names"
                )
            return wanted
        for name in usual:
            if name in ranked:
                return name
        if len(ranked) > 1:
            raise UnfitFolder(
                self._name, f"gives {listed(ranked)}; say which of them to use with parameters.extra.output"
            )
        return ranked[0] if ranked else None

    def _type_of(self, given: Any) -> Any:
        if given.name not in _INPUTS:
            raise UnfitFolder(
                self._name,
                f"takes the input '{given.name}', which a tokenizer does not give; it gives {listed(_INPUTS)}",
            )
        if given.type not in _INTEGERS:
            raise UnfitFolder(self._name, f"takes '{given.name}' as {given.type}; integers are served")
        if len(given.shape) != 2 or any(isinstance(length, int) for length in given.shape):
            raise UnfitFolder(
                self._name,
                f"takes '{given.name}' of the fixed shape {given.shape}. Export it with dynamic axes for texts and tokens",
            )
        return _INTEGERS[given.type]

    def _feed(self, name: str, batch: Batch) -> Array:
        feeds: Mapping[str, Array] = {
            "input_ids": batch.ids,
            "attention_mask": batch.attended,
            "token_type_ids": batch.types,
        }
        if name == "position_ids":
            places: Array = np.maximum(np.cumsum(batch.attended, axis=1) - 1, 0)
            return places
        return feeds[name]
