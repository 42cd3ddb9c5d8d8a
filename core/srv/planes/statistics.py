"""Statistics: the outcome of a request, and a model's row of the statistics extension."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from srv.errors import code_of
from srv.metrics_types import BOUNDS, OK, Kind, Stages, Sums
from srv.planes.ledger import Ledger

__all__ = ("BOUNDS", "OK", "Kind", "Ledger", "Stages", "Sums", "by_model", "model_statistics", "outcome_of")


def outcome_of(error: BaseException) -> str:
    """Return the outcome under which an error is counted: the stable name that clients get."""
    return code_of(error)


def by_model(sums: Mapping[Kind, Sums]) -> dict[tuple[str, str | None], dict[str, Sums]]:
    """Return the sums by name and version, and for each of those by outcome, over both faces."""
    models: dict[tuple[str, str | None], dict[str, Sums]] = {}
    for kind, counted in sums.items():
        models.setdefault((kind.model, kind.version), {}).setdefault(kind.outcome, Sums()).add(counted)
    return models


def model_statistics(
    name: str, version: str, outcomes: Mapping[str, Sums], batches: Mapping[int, Sums] = MappingProxyType({})
) -> dict[str, Any]:
    """Return a model's row of the statistics extension; all fields except `fail` count successful requests.

    `batch_stats` tells of executions by their rows, where the model batches. Else it tells of those of one element,
    and is empty where others were among them.
    """
    good = outcomes.get(OK, Sums())
    bad = Sums()
    for outcome, sums in outcomes.items():
        if outcome != OK:
            bad.add(sums)
    stages = good.stages
    computed = _computed(good)
    by_rows = [{"batch_size": rows, **_computed(batches[rows])} for rows in sorted(batches)]
    if not batches and 0 < good.executions == good.elements:
        by_rows = [{"batch_size": 1, **computed}]
    return {
        "name": name,
        "version": version,
        "last_inference": max(good.last, bad.last),
        "inference_count": good.elements,
        "execution_count": good.executions,
        "inference_stats": {
            "success": _duration(good.count, good.total),
            "fail": _duration(bad.count, bad.total),
            "queue": _duration(good.count, stages.queue),
            **computed,
            "cache_hit": _duration(0, 0),
            "cache_miss": _duration(0, 0),
        },
        "batch_stats": by_rows,
    }


def _computed(sums: Sums) -> dict[str, dict[str, int]]:
    stages = sums.stages
    return {
        "compute_input": _duration(sums.count, stages.input),
        "compute_infer": _duration(sums.count, stages.infer),
        "compute_output": _duration(sums.count, stages.output),
    }


def _duration(count: int, nanoseconds: int) -> dict[str, int]:
    return {"count": count, "ns": nanoseconds}
