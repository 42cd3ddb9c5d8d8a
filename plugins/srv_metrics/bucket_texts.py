"""Buckets of a histogram as Prometheus has them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from srv.metrics_types import BOUNDS


def buckets(counts: Sequence[int], bounds: Sequence[float] = BOUNDS) -> list[tuple[str, float]]:
    """Return cumulative buckets with their upper bounds as texts; the last one is infinite."""
    texts = (*(str(float(bound)) for bound in bounds), "+Inf")
    return [*zip(texts, (float(count) for count in accumulate(counts)), strict=True)]
