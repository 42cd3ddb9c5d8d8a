"""Transformers: the vectors of a text's tokens from an ONNX graph, pooled to one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from srv_embeddings.errors import Contradiction, NoPooling, UnfitFolder
from srv_embeddings.folder import MODES, ModelFolder, Pooling
from srv_embeddings.graph import SENTENCE, Graph, refusing_operator
from srv_embeddings.pooling import Array, TokenVectors, pooled, without_prompt
from srv_embeddings.tokens import Batch, Tokens
from srv_embeddings.windows import Place


class BatchedGraph:
    """An ONNX graph that is run on batches of texts of about one length."""

    def __init__(self, folder: ModelFolder, *, threads: int, batch_tokens: int) -> None:
        self.tokens = Tokens(folder.tokenizer)
        self.name = folder.model.relative_to(folder.root).as_posix()
        self.graph = Graph(folder.model, self.name, threads=threads)
        self._batch_tokens = batch_tokens

    def run(
        self, encodings: Sequence[Any], output: str, reduced: Callable[[Array, Batch], Array], place: Place
    ) -> Array:
        """Return a row for each text: what `reduced` makes of an output of the graph and the batch.

        Raises UnfitRow where the graph does not take the texts, as one with fewer places than a text has tokens.
        """
        result: Array | None = None
        for batch in self.tokens.batches(encodings, self._batch_tokens, may_pad=self.graph.may_pad):
            try:
                found = self.graph.run(batch, output)
            except Exception as error:  # the library raises classes of a private module
                operator = refusing_operator(error)
                if operator is None:
                    raise
                why = (
                    f"the model's operator {operator} refuses the text, which has {batch.ids.shape[1]} tokens. Send less text, or "
                    "let max_seq_length in sentence_bert_config.json say how many tokens the graph takes"
                )
                raise place.refusal(int(batch.rows[0]), why) from error
            values = reduced(found, batch)
            if result is None:
                result = np.empty((len(encodings), values.shape[1]), np.float32)
            result[batch.rows] = values
        return np.zeros((0, 0), np.float32) if result is None else result


class Transformer:
    """Vectors of texts from a graph; threads share it."""

    def __init__(
        self,
        folder: ModelFolder,
        *,
        pooling: tuple[str, ...] | None,
        output: str | None,
        threads: int,
        batch_tokens: int,
    ) -> None:
        self._batched = BatchedGraph(folder, threads=threads, batch_tokens=batch_tokens)
        self.tokens = self._batched.tokens
        graph = self._batched.graph
        found = graph.token_output(output) if output != SENTENCE else None
        self._pooling = _pooling(folder, pooling)
        if self._pooling is None and SENTENCE not in graph.outputs:
            raise NoPooling(MODES)
        if self._pooling is not None and found is None:
            self._check_graph(folder, self._pooling)
            self._pooling = None
        #: How the vectors of tokens become one, as the metadata says it; `graph` where the ONNX graph does it.
        self.pooling = "graph" if self._pooling is None else self._pooling.title
        self._output = SENTENCE if self._pooling is None else str(found)

    def encode(self, texts: Sequence[str], prompt: str, place: Place) -> tuple[Array, Array]:
        """Return a vector for each text, and its number of tokens."""
        encodings = self.tokens([prompt + text for text in texts] if prompt else texts)
        place.check(encodings, self.tokens.max_tokens)
        counts = np.fromiter(map(len, encodings), np.int64, len(encodings))
        place.check_tokens(counts, "")
        if self._pooling is None:
            return self._batched.run(encodings, self._output, lambda vectors, _: vectors, place), counts
        skipped = 0 if self._pooling.include_prompt else self.tokens.length_of_prompt(prompt)
        place.check_tokens(np.maximum(counts - skipped, 0), " beside those of the prompt")
        modes = self._pooling.modes

        def reduced(vectors: Array, batch: Batch) -> Array:
            counted = without_prompt(batch.attended, skipped) if skipped else batch.attended
            return pooled(TokenVectors(vectors, counted), modes)

        return self._batched.run(encodings, self._output, reduced, place), counts

    def _check_graph(self, folder: ModelFolder, said: Pooling) -> None:
        """Refuse a graph that gives no vectors of tokens, or whose own pooling cannot be what the files say."""
        name = self._batched.name
        if SENTENCE not in self._batched.graph.outputs:
            raise UnfitFolder(name, "gives no vectors of tokens; an output [texts, tokens, numbers] is missing")
        if not said.include_prompt and any(folder.prompts.values()):
            raise UnfitFolder(
                name, "pools by itself, and the tokens of a prompt must not count, as 1_Pooling/config.json says"
            )


def _pooling(folder: ModelFolder, said: tuple[str, ...] | None) -> Pooling | None:
    """Return the pooling that the files say, or else the settings."""
    if said is None or folder.pooling is None:
        return folder.pooling if said is None else Pooling(said)
    if folder.pooling.modes != said:
        raise Contradiction("pooling", "+".join(said), "1_Pooling/config.json", folder.pooling.title)
    return folder.pooling
