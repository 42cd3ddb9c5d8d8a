"""The access log: one line for each request that was answered, on either face."""

from __future__ import annotations

import json
import logging
from typing import Any

from srv.metrics_types import Stages
from srv.printable import escaped

#: The faces and the worker write to it.
ACCESS = logging.getLogger("srv.access")


def access_log(
    method: str,
    path: str,
    status: int,
    seconds: float,
    request_id: str,
    *,
    model: str | None = None,
    outcome: str | None = None,
    reason: str | None = None,
    stages: Stages | None = None,
) -> None:
    """Write the access log's line for one answer.

    `stages` is there for those that a model was asked for, `reason` for those that the worker refused itself.
    """
    if not ACCESS.isEnabledFor(logging.INFO):
        return
    fields: dict[str, Any] = {
        "method": method,
        "path": path,
        "status": status,
        "duration_ms": round(seconds * 1000, 3),
        "request_id": request_id,
    }
    fields |= {name: word for name, word in (("model", model), ("outcome", outcome), ("reason", reason)) if word}
    spent = ""
    if stages is not None:
        queue, compute = stages.queue / 1e6, (stages.input + stages.infer + stages.output) / 1e6
        fields |= {"queue_ms": round(queue, 3), "compute_ms": round(compute, 3)}
        spent = f" queue={queue:.1f} compute={compute:.1f}"
    known = "".join(f" {name}={escaped(fields[name])}" for name in ("model", "outcome") if name in fields)
    if reason:
        known += f" reason={escaped(json.dumps(reason, ensure_ascii=False))}"
    said = (escaped(method), escaped(path), status, seconds * 1000, escaped(request_id), known + spent)
    # Made here, because the logger would look for the line of code that calls it.
    ACCESS.handle(
        ACCESS.makeRecord(
            ACCESS.name, logging.INFO, "", 0, "%s %s %d %.1f ms id=%s%s", said, None, "access_log", fields
        )
    )
