"""Loads a model's file with torch; the runtime's own module does not import torch."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from srv import ModelSettings
from srv.errors import SrvError, quoted
from srv_torch.archives import EXPORT, kind_of
from srv_torch.exported import Exported
from srv_torch.scripted import Scripted


class NoDevice(SrvError):
    """The settings name a device that is not there."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(
            f"parameters.extra.device is {quoted(name)}, which torch {torch.__version__} cannot use: {why}."
        )


def load(file: Path, settings: ModelSettings, *, cores: int) -> Exported | Scripted:
    """Return the program of a file, ready to run. Loading a file runs code that is in it.

    `cores` are those that torch may use for one operator, where neither the settings nor OMP_NUM_THREADS say so.
    """
    kind = kind_of(file)
    extra = settings.parameters.extra
    device = _device(extra.get("device") or "cpu")
    if extra.get("threads"):
        torch.set_num_threads(extra["threads"])
    elif "OMP_NUM_THREADS" not in os.environ:  # which torch has read, and which srv start sets where its user does not
        torch.set_num_threads(cores)
    model = Exported(file, device) if kind == EXPORT else Scripted(file, device, declared=settings.inputs or ())
    model.check_batches(settings.max_batch_size)
    model.parameters = {"format": kind, "torch": str(torch.__version__), **model.parameters}
    return model


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        why = str(error).strip().splitlines() or [type(error).__name__]
        raise NoDevice(name, why[0].rstrip(".")[:200]) from None
    return device
