"""Models that say how well texts answer a query. Imported by `load`, because it imports the libraries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from srv_embeddings.errors import UnknownTask
from srv_embeddings.folder import ModelFolder, labels_of
from srv_embeddings.pooling import Array
from srv_embeddings.steps import activation
from srv_embeddings.tokens import Tokens
from srv_embeddings.transformer import BatchedGraph
from srv_embeddings.windows import Numbers, Place, windows

#: What sentence-transformers applies to one score where no file says it.
_USUAL = "torch.nn.modules.activation.Sigmoid"


class Reranker:
    """Gives a score to each pair of a query and a text, from any number of threads."""

    def __init__(
        self, folder: ModelFolder, *, output: str | None = None, threads: int = 1, batch_tokens: int = 1024
    ) -> None:
        if labels_of(folder.config) != 1:
            raise UnknownTask(labels_of(folder.config))
        self._batched = BatchedGraph(folder, threads=threads, batch_tokens=batch_tokens)
        self._output = self._batched.graph.score_output(output)
        said = folder.activation or _USUAL
        #: The function that makes a score of the graph's output, as the metadata says it.
        self.activation = said.rpartition(".")[2].lower()
        self._activate = activation(said, "config.json")
        labels = self._outputs([("a query", "a text"), ("a query", "another text")], Place("text"))[0].shape[1]
        if labels != 1:
            raise UnknownTask(labels)

    @property
    def tokens(self) -> Tokens:
        """The tokenizer with its limit."""
        return self._batched.tokens

    def rerank(self, pairs: Sequence[tuple[str, str]], *, truncate: bool = True, name: str = "text") -> Numbers:
        """Return a score for each pair, `[pairs]`; `name` is how errors call the input.

        Raises UnfitRow for a pair that is too long where `truncate` is false.
        """
        values, counts = np.empty(len(pairs), np.float32), np.empty(len(pairs), np.int64)
        for first, some in windows(pairs):
            outputs, tokens = self._outputs(some, Place(name, first, truncate))
            part = slice(first, first + len(some))
            values[part] = self._activate(outputs[:, 0])
            counts[part] = tokens
        return Numbers(values, counts)

    def _outputs(self, pairs: Sequence[tuple[str, str]], place: Place) -> tuple[Array, Array]:
        encodings = self.tokens(pairs)
        place.check(encodings, self.tokens.max_tokens)
        counts = np.fromiter(map(len, encodings), np.int64, len(encodings))
        place.check_tokens(counts, "")
        return self._batched.run(encodings, self._output, lambda values, _: values, place), counts
