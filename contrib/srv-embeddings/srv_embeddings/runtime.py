"""The runtime: a folder with a tokenizer and a model becomes vectors of texts, or scores of texts for a query.

The libraries are not imported here but by `load`, because servers import this module to ask `recognise`.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from marshmallow import Schema, fields, validate

from srv import InferenceRequest, InferenceResponse, InvalidInput, Runtime, Spec, Tensor
from srv.errors import listed, quoted
from srv.file_formats import check_format
from srv_embeddings.errors import Contradiction, NotOfReranker
from srv_embeddings.folder import MODES, MODULES, TOKENIZER, ModelFolder, read_folder, recognises
from srv_embeddings.requests import asked_of, check_names, flag, texts_of

if TYPE_CHECKING:
    from srv_embeddings.embedder import Embedder
    from srv_embeddings.reranker import Reranker
    from srv_embeddings.windows import Numbers

TEXT, QUERY = "text", "query"
EMBEDDING, SCORE, TOKENS = "embedding", "score", "tokens"


class _Modes(fields.List):  # type: ignore[type-arg]  # older releases of marshmallow know no arguments of it
    """A list of ways of pooling, or one of them."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Any]:
        return super()._deserialize([value] if isinstance(value, str) else value, attr, data, **kwargs)


class Extra(Schema):
    """What a model's settings may have under `parameters.extra`."""

    pooling = _Modes(
        fields.String(validate=validate.OneOf(MODES)),
        load_default=None,
        allow_none=True,
        validate=validate.Length(min=1),
        metadata={
            "description": "How the vectors of tokens become one, where no file of the folder says it: 'mean', or ['cls', 'mean'] for both side by side."
        },
    )
    normalize = fields.Boolean(
        load_default=None,
        allow_none=True,
        metadata={
            "description": "Whether vectors have the length 1 where the request does not say it; else as the files say."
        },
    )
    file = fields.String(
        load_default=None,
        allow_none=True,
        metadata={"description": "The ONNX graph in the folder, such as 'onnx/model_quantized.onnx'."},
    )
    output = fields.String(
        load_default=None,
        allow_none=True,
        metadata={"description": "The output of the ONNX graph that is used, where its name is an unusual one."},
    )
    batch_tokens = fields.Integer(
        load_default=1024,
        strict=True,
        validate=validate.Range(min=1),
        metadata={
            "description": "How many tokens, with their padding, the graph computes at once; it bounds the memory."
        },
    )
    max_characters = fields.Integer(
        load_default=1_000_000,
        strict=True,
        validate=validate.Range(min=1),
        metadata={"description": "The longest text that is taken, in characters."},
    )


class EmbeddingsRuntime(Runtime):
    """Serves a text embedding model, or a reranker, from the files that sentence-transformers or model2vec wrote.

    Threads share the model. `embed` and `rerank` are for plugins that speak another protocol.
    """

    extra = Extra
    any_input_name: ClassVar[bool] = True
    parallel_load: ClassVar[bool] = True

    @classmethod
    def recognise(cls, path: Path) -> bool:
        """Return whether the folder of a tokenizer.json holds an embedding model or a reranker that needs no settings."""
        return recognises(path)

    def load(self) -> None:
        """Read the folder's files, load the model, and try it with two texts."""
        said = self.settings.parameters.extra
        file = self.artifact(TOKENIZER, MODULES)
        check_format(file, self.settings.parameters.format)
        folder = read_folder(file if file.is_dir() else file.parent, file=said["file"])
        self._most = int(said["max_characters"])
        self._embedder: Embedder | None = None
        self._reranker: Reranker | None = None
        self._dimensions: int | None = None  # of the vectors that are given where the client does not say it
        self._folder = folder
        options: dict[str, Any] = {
            "output": said["output"],
            "threads": self.cores,
            "batch_tokens": said["batch_tokens"],
        }
        name = folder.model.relative_to(folder.root).as_posix()
        self.parameters |= {"model": name, "tokenizers": version("tokenizers")}
        if folder.kind == "reranker":
            self._load_reranker(folder, options)
        else:
            self._load_embedder(folder, options)
        if folder.kind not in ("static", "model2vec"):
            self.parameters["onnxruntime"] = version("onnxruntime")

    def predict(self, request: InferenceRequest) -> InferenceResponse:
        """Return vectors of the texts, or scores for the query; `tokens` where the request asks for it."""
        with np.errstate(all="ignore"):  # because another model may have set numpy to raise in this thread
            return self._embedded(request) if self._reranker is None else self._reranked(request)

    def embed(
        self,
        texts: Sequence[str],
        *,
        prompt: str = "",
        normalize: bool | None = None,
        dimensions: int | None = None,
        truncate: bool = True,
    ) -> Numbers:
        """Return the vectors of texts and their numbers of tokens. Raises InvalidInput for a reranker, and for unfit texts."""
        if self._embedder is None:
            raise InvalidInput("The model is a reranker, which gives scores and no vectors.")
        if normalize is None:
            normalize = self._normalize
        return self._embedder.embed(
            texts,
            prompt=prompt,
            normalize=normalize,
            dimensions=dimensions or self._dimensions,
            truncate=truncate,
        )

    def rerank(self, query: str, texts: Sequence[str], *, truncate: bool = True) -> Numbers:
        """Return a score for each text and its number of tokens. Raises InvalidInput for a model of vectors, and for unfit texts."""
        if self._reranker is None:
            raise InvalidInput("The model gives vectors of texts and no scores; it is no reranker.")
        return self._reranker.rerank([(query, text) for text in texts], truncate=truncate)

    # -- load --------------------------------------------------------------------------------------------------------

    def _load_embedder(self, folder: ModelFolder, options: dict[str, Any]) -> None:
        from srv_embeddings.embedder import Embedder  # here, because it imports onnxruntime and tokenizers

        extra = self.settings.parameters.extra
        pooling = extra["pooling"]
        self._embedder = Embedder(folder, pooling=None if pooling is None else tuple(pooling), **options)
        self._normalize: bool | None = extra["normalize"]
        by_graph = self._embedder.pooling == "graph"
        if by_graph and self._normalize is False:
            raise Contradiction("normalize", "false", str(self.parameters["model"]), "what the graph makes")
        is_normalised = self._embedder.is_normalised if self._normalize is None else self._normalize
        width = self._embedder.dimension
        if folder.dimensions is not None and folder.dimensions < width:
            width = self._dimensions = folder.dimensions
        self.inputs = [_texts(TEXT)]
        self.outputs = [Spec("FP32", (-1, -1), name=EMBEDDING), Spec("INT64", (-1,), name=TOKENS)]
        self.parameters |= {
            "kind": folder.kind,
            "dimension": width,
            "pooling": self._embedder.pooling,
            "normalized": is_normalised or (None if by_graph else False),  # None: only the graph's maker knows
            "max_tokens": self._embedder.tokens.max_tokens,
            "prompts": dict(folder.prompts),
            "default_prompt": folder.default_prompt,
            "similarity": folder.similarity,
        }

    def _load_reranker(self, folder: ModelFolder, options: dict[str, Any]) -> None:
        from srv_embeddings.reranker import Reranker  # here, because it imports onnxruntime and tokenizers

        extra = self.settings.parameters.extra
        for key in ("pooling", "normalize"):
            if extra[key] is not None:
                raise NotOfReranker(key)
        self._reranker = Reranker(folder, **options)
        self.inputs = [_texts(QUERY), _texts(TEXT)]
        self.outputs = [Spec("FP32", (-1,), name=SCORE), Spec("INT64", (-1,), name=TOKENS)]
        self.parameters |= {
            "kind": folder.kind,
            "activation": self._reranker.activation,
            "max_tokens": self._reranker.tokens.max_tokens,
        }

    # -- what is done for each request ---------------------------------------------------------------------------------

    def _embedded(self, request: InferenceRequest) -> InferenceResponse:
        assert self._embedder is not None
        tensor = request.tensor(TEXT)
        texts = texts_of(request, tensor, most=self._most)
        asked = asked_of(
            request,
            prompts=self._folder.prompts,
            default=self._folder.default_prompt,
            dimension=self._embedder.dimension,
            fixed=self._embedder.pooling == "graph",
        )
        found = self._embedder.embed(
            texts,
            prompt=asked.prompt,
            normalize=self._normalize if asked.normalize is None else asked.normalize,
            dimensions=asked.dimensions or self._dimensions,
            truncate=asked.truncate,
            name=tensor.name,
        )
        return _response(request, EMBEDDING, found)

    def _reranked(self, request: InferenceRequest) -> InferenceResponse:
        assert self._reranker is not None
        check_names(request.parameters, ("truncate",))
        for given in request.inputs:
            if given.name not in (QUERY, TEXT):
                raise InvalidInput(f"Input {quoted(given.name)} is unknown; the model takes {listed((QUERY, TEXT))}.")
        query, text = request.tensor(QUERY), request.tensor(TEXT)
        queries = texts_of(request, query, most=self._most)
        texts = texts_of(request, text, most=self._most)
        if len(queries) == 1:
            queries = queries * len(texts)
        if len(queries) != len(texts):
            raise InvalidInput(
                f"Input 'query' has {len(queries)} texts and input 'text' {len(texts)}; give one query for all texts, or one for each."
            )
        truncate = flag(request.parameters, "truncate") is not False
        found = self._reranker.rerank(list(zip(queries, texts, strict=True)), truncate=truncate)
        return _response(request, SCORE, found)


def _texts(name: str) -> Spec:
    return Spec("BYTES", (-1,), name=name, parameters={"content_type": "str"})


def _response(request: InferenceRequest, name: str, found: Numbers) -> InferenceResponse:
    """Return the values, and the numbers of tokens where the request names that output."""
    outputs = [Tensor(name, found.values)]
    if any(output.name == TOKENS for output in request.outputs or ()):
        outputs.append(Tensor(TOKENS, found.tokens))
    return InferenceResponse(outputs)
