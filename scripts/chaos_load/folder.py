"""The folder that the load serves: its models and settings, and the edition of the model that is loaded again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("models.py").read_text(encoding="utf-8")
#: A model's own deadline, and how long its requests want it to take: both sides of the deadline.
DEADLINE = 0.05
NAPS = (0.036, 0.056)
BATCHES = {"max_batch_size": 16, "max_batch_time": 0.002}
#: What a worker may hold in bytes; small, so that bytes that are counted for ever show.
MAX_INFLIGHT = 16 << 20
SETTINGS = {
    "workers": 3,
    "threads": 8,
    "grpc_threads": 8,
    "max_streams": 6,
    "max_inflight_bytes": MAX_INFLIGHT,
    "max_body_size": MAX_INFLIGHT,
    "model_control": True,
    "access_log": False,
    "graceful_timeout": 10,
}


@dataclass(frozen=True)
class Model:
    """A model of the folder: its class, what it makes of an input, its settings, and the deadline that it keeps."""

    name: str
    implementation: str
    expected: Callable[[float], float]
    settings: dict[str, Any] = field(default_factory=dict)
    deadline: float | None = None
    naps: bool = False


MODELS = {
    model.name: model
    for model in (
        Model("double", "Double", lambda value: 2 * value),
        Model("batched", "Double", lambda value: 2 * value, BATCHES),
        Model("slow", "Slow", lambda value: value + 1, {"request_timeout": DEADLINE}, DEADLINE, naps=True),
        Model("slow_async", "SlowAsync", lambda value: value + 1, {"request_timeout": DEADLINE}, DEADLINE, naps=True),
        Model(
            "slow_batched",
            "Slow",
            lambda value: value + 1,
            {**BATCHES, "request_timeout": 1.6 * DEADLINE},
            1.6 * DEADLINE,
            naps=True,
        ),
        Model("patient", "Slow", lambda value: value + 1, naps=True),
        Model("edited", "Edited", lambda value: value),
        Model("count", "Count", lambda value: value),
        Model("count_async", "CountAsync", lambda value: value),
        Model("sink", "Sink", lambda value: value),
    )
}


def write_folder(folder: Path, workers: int) -> None:
    """Write the settings and all models."""
    (folder / "settings.json").write_text(json.dumps({**SETTINGS, "workers": workers}))
    for model in MODELS.values():
        place = folder / model.name
        place.mkdir()
        document = {"implementation": f"models.{model.implementation}", **model.settings}
        (place / "model-settings.json").write_text(json.dumps(document))
        (place / "models.py").write_text(SOURCE)


def write_edition(folder: Path, number: int) -> None:
    """Write the edited model's source anew, whole or not at all."""
    place = folder / "edited" / "models.py"
    fresh = place.with_suffix(".new")
    fresh.write_text(SOURCE.replace("\nEDITION = 0\n", f"\nEDITION = {number}\n"))
    fresh.replace(place)
