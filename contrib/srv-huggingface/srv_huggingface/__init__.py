"""A runtime for transformers: pip install it, and srv serves folders of `config.json` and `model.safetensors`."""

from srv_huggingface.runtime import HuggingFaceRuntime

__all__ = ["HuggingFaceRuntime"]
