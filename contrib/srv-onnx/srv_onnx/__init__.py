"""A runtime for ONNX: pip install it, and srv serves `model.onnx`."""

from srv_onnx.runtime import OnnxRuntime

__all__ = ["OnnxRuntime"]
