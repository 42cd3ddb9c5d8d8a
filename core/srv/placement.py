"""The placement of a model's process: the devices and processors that it gets, as `srv_placement` chooses them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Placement:
    """Where one process of a model runs. What is None is as the model's settings say."""

    #: The devices that it sees, named as in settings: `("cuda:0",)`, or `("cpu",)` for none.
    devices: tuple[str, ...] | None = None
    #: The numbers of the processors that it runs on; an empty collection leaves them all to it.
    cpus: Collection[int] | None = None
    #: Further variables; those of the model's own `process.env` count over them.
    env: Mapping[str, str] = field(default_factory=dict)
