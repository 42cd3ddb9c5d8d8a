"""What a program of torch.export changes when it runs: its own buffers, which keeps it from being served, and its inputs."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence

import torch
from torch.export import ExportedProgram

from srv.errors import SrvError, listed

log = logging.getLogger(__name__)

#: Operators that learn from a batch: where the statistics stand among their arguments, and where the word to learn does.
_LEARNING = {"aten.batch_norm.default": (3, 5), "aten.instance_norm.default": (3, 5)}


class KeepsState(SrvError):
    """A program changes its own buffers, so that each answer would depend on the requests before."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(
            f"The program changes its own {listed(names)} whenever it runs, so an answer would depend on the requests before "
            "it. Call eval() on the model before torch.export.export, and keep no state in buffers."
        )


def written_inputs(program: ExportedProgram) -> frozenset[str]:
    """Return the inputs that the program writes into, by its placeholders. Raises KeepsState where it changes buffers.

    A program that draws random numbers as in training is warned of.
    """
    learning = sorted({f"statistics of {node.name}" for node in _calls(program) if _learns(node)})
    if learning:
        raise KeepsState(learning)
    if any(str(node.target) == "aten.dropout.default" and node.args[2] for node in _calls(program)):
        log.warning(
            "The program was exported in training mode: dropout makes its answers random. "
            "Call eval() on the model before torch.export.export."
        )
    if not any(getattr(getattr(node.target, "_schema", None), "is_mutable", False) for node in _calls(program)):
        return frozenset()
    # torch warns of what it does itself while it copies a program.
    warnings.filterwarnings("ignore", r".*isinstance\(treespec, LeafSpec\)", FutureWarning)
    # Views hide what a change in place reaches, and decomposition follows them.
    signature = program.run_decompositions({}).graph_signature
    if signature.buffers_to_mutate:
        raise KeepsState(sorted(f"buffer '{name}'" for name in signature.buffers_to_mutate.values()))
    return frozenset(signature.user_inputs_to_mutate.values())


def _learns(node: torch.fx.Node) -> bool:
    statistics, learns = _LEARNING.get(str(node.target), (0, 0))
    return len(node.args) > learns > 0 and bool(node.args[learns]) and node.args[statistics] is not None


def _calls(program: ExportedProgram) -> Iterator[torch.fx.Node]:
    """Yield every call of an operator, in branches and loops too."""
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            yield from (node for node in module.graph.nodes if node.op == "call_function")
