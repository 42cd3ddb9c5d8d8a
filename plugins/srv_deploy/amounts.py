"""Amounts of memory and of processors, as Kubernetes writes them, and as Docker does."""

from __future__ import annotations

import re
from decimal import Decimal

from srv_deploy.errors import BadQuantity

_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_MEMORY = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<unit>[kMGT]|[KMGT]i)?")
_CPU = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<milli>m)?")
#: Docker's units, the largest first.
_DOCKER = {"g": 2**30, "m": 2**20, "k": 2**10, "b": 1}


def bytes_of(text: str, option: str) -> int:
    """Return the bytes that an amount of memory means. Raises BadQuantity."""
    found = _MEMORY.fullmatch(text)
    size = 0 if found is None else int(Decimal(found["number"]) * _UNITS[found["unit"] or ""])
    if size <= 0:
        raise BadQuantity(option, text, "512Mi or 2Gi")
    return size


def cores_of(text: str, option: str) -> Decimal:
    """Return how many processors an amount means. Raises BadQuantity."""
    found = _CPU.fullmatch(text)
    cores = Decimal(0) if found is None else Decimal(found["number"]) / (1000 if found["milli"] else 1)
    if cores <= 0:
        raise BadQuantity(option, text, "2, 0.5 or 500m")
    return cores


def docker_memory(size: int) -> str:
    """Return an amount of memory as Docker reads it: exact, in the largest unit that fits."""
    unit = next(unit for unit, each in _DOCKER.items() if size % each == 0)
    return f"{size // _DOCKER[unit]}{unit}"
