"""Devices of model processes: how settings name them, and the variables that tell libraries which ones they may see."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

#: The variables that hide all other devices of a kind from the libraries that use it.
VARIABLES: Mapping[str, tuple[str, ...]] = {
    "cuda": ("CUDA_VISIBLE_DEVICES",),
    "rocm": ("ROCR_VISIBLE_DEVICES",),
    "xpu": ("ZE_AFFINITY_MASK",),
    "neuron": ("NEURON_RT_VISIBLE_CORES",),
}
#: What stands for no device at all.
CPU = "cpu"

_NUMBERS = re.compile(r"[0-9]{1,4}(,[0-9]{1,4})*", re.ASCII)
_NAMES = re.compile(r"(GPU|MIG)-[A-Za-z0-9/-]{1,100}(,(GPU|MIG)-[A-Za-z0-9/-]{1,100})*", re.ASCII)
#: Where no number stands: CUDA and ROCm take an empty list for none, the others are left alone.
_HIDDEN: Mapping[str, str] = {"CUDA_VISIBLE_DEVICES": "", "ROCR_VISIBLE_DEVICES": ""}


def is_device(text: str) -> bool:
    """Whether settings may name devices so: `cpu`, `cuda:0`, several as `cuda:0,1`, or `cuda:GPU-…` by its UUID."""
    kind, _, which = text.partition(":")
    if text == CPU:
        return True
    if kind not in VARIABLES:
        return False
    return _NUMBERS.fullmatch(which) is not None or (kind in ("cuda", "rocm") and _NAMES.fullmatch(which) is not None)


def visible(devices: Sequence[str]) -> dict[str, str]:
    """Return the variables under which a process sees these devices and no others; none where no device is named."""
    seen: dict[str, list[str]] = {}
    for device in devices:
        kind, _, which = device.partition(":")
        for name in VARIABLES.get(kind, ()):
            seen.setdefault(name, []).append(which)
    hidden = _HIDDEN if devices else {}
    return {**hidden, **{name: ",".join(numbers) for name, numbers in seen.items()}}


def shared_out(items: Sequence[str], count: int, number: int) -> tuple[str, ...]:
    """Return what process `number` of `count` gets of a list: an equal part, or one of them in turn if there are fewer."""
    if len(items) <= count:
        return (items[number % len(items)],) if items else ()
    part = len(items) // count
    return tuple(items[number * part : (number + 1) * part])
