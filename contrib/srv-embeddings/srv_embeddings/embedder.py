"""Models that make vectors of texts. Imported by `load`, because it imports the libraries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from srv_embeddings.errors import Contradiction, UnfitFolder
from srv_embeddings.folder import MODULES, ModelFolder
from srv_embeddings.pooling import Array
from srv_embeddings.static_vectors import StaticVectors
from srv_embeddings.steps import made, normalised
from srv_embeddings.tokens import Tokens
from srv_embeddings.transformer import Transformer
from srv_embeddings.windows import Numbers, Place, windows


class Embedder:
    """Makes vectors of texts, from any number of threads."""

    def __init__(
        self,
        folder: ModelFolder,
        *,
        pooling: tuple[str, ...] | None = None,
        output: str | None = None,
        threads: int = 1,
        batch_tokens: int = 1024,
    ) -> None:
        self._encoder: StaticVectors | Transformer
        if folder.kind in ("static", "model2vec"):
            if pooling not in (None, ("mean",)):
                raise Contradiction("pooling", "+".join(pooling), folder.model.name, "mean")
            self._encoder = StaticVectors(folder)
        else:
            self._encoder = Transformer(
                folder, pooling=pooling, output=output, threads=threads, batch_tokens=batch_tokens
            )
        #: How the vectors of tokens become one, as the metadata says it; `graph` where the ONNX graph does it.
        self.pooling: str = self._encoder.pooling
        steps = list(folder.steps)
        #: Whether the files say that vectors have the length 1.
        self.is_normalised = bool(steps) and steps[-1].kind == "Normalize"
        if folder.kind == "model2vec":
            self.is_normalised = bool(folder.config.get("normalize", False))
        while steps and steps[-1].kind == "Normalize":
            steps.pop()  # because the client decides about it
        if steps and self.pooling == "graph":
            raise UnfitFolder(
                MODULES,
                f"names the module {steps[0].kind}, and the ONNX graph pools by itself, so that it may hold the module or not. "
                "Export a graph that gives the vectors of tokens",
            )
        self._steps = made(steps)
        #: How many numbers a vector has.
        self.dimension: int = self._vectors(["a text", "another text"], "", Place("text"))[0].shape[1]

    @property
    def tokens(self) -> Tokens:
        """The tokenizer with its limit."""
        return self._encoder.tokens

    def embed(
        self,
        texts: Sequence[str],
        *,
        prompt: str = "",
        normalize: bool | None = None,
        dimensions: int | None = None,
        truncate: bool = True,
        name: str = "text",
    ) -> Numbers:
        """Return the vectors of texts, `[texts, numbers]`; `name` is how errors call the input.

        Vectors that are shortened to `dimensions` numbers are normalised after that, where they are normalised at all. Raises
        UnfitRow for a text that has no vector, or is too long where `truncate` is false.
        """
        is_normalised = self.is_normalised if normalize is None else normalize
        values = np.empty((len(texts), dimensions or self.dimension), np.float32)
        counts = np.empty(len(texts), np.int64)
        for first, some in windows(texts):
            vectors, tokens = self._vectors(some, prompt, Place(name, first, truncate))
            vectors = vectors[:, : values.shape[1]]
            part = slice(first, first + len(some))
            values[part] = normalised(vectors) if is_normalised else vectors
            counts[part] = tokens
        return Numbers(values, counts)

    def _vectors(self, texts: Sequence[str], prompt: str, place: Place) -> tuple[Array, Array]:
        vectors, counts = self._encoder.encode(texts, prompt, place)
        for step in self._steps:
            vectors = step(vectors)
        return vectors, counts
