"""A runtime for PyTorch: pip install it, and srv serves `model.pt2` of torch.export and `model.pt` of TorchScript."""

from srv_torch.runtime import TorchRuntime

__all__ = ["TorchRuntime"]
