"""The command `srv infer`: rows of a file through a model of a running server, each answered exactly once."""

from srv_infer.command import infer

__all__ = ["infer"]
