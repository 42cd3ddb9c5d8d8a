"""A runtime for text embeddings: pip install it, and srv serves folders of a tokenizer and an ONNX or static model."""

from srv_embeddings.runtime import EmbeddingsRuntime

__all__ = ["EmbeddingsRuntime"]
