"""Event log: a line of JSON for each event of a worker, its models and their requests. Off until it is configured."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, TextIO

from marshmallow import Schema, fields, validate

from srv.hookspecs import Model, Server, StreamSummary, Timings, hookimpl
from srv.messages import InferenceRequest, InferenceResponse
from srv.tensors import Tensor

log = logging.getLogger(__name__)


class Settings(Schema):
    """The file, and the share of the requests that are written to it."""

    file = fields.String(
        required=True,
        validate=validate.Length(min=1),
        metadata={"description": "Where events are written, meant from the folder that is served."},
    )
    requests = fields.Float(
        load_default=1.0,
        validate=validate.Range(min=0, max=1),
        metadata={"description": "The share of the requests that are written, 1 for all."},
    )


class EventLog:
    """The hooks. All workers append to one file, each line in one write; no values of requests are written."""

    srv_needs_settings = True

    def __init__(self) -> None:
        self._file: TextIO | None = None
        self._lock = threading.Lock()
        self._share = 0.0
        self._due = 0.0

    @hookimpl
    def srv_settings_schema(self) -> type[Schema]:
        """Declare a file, and a share of the requests."""
        return Settings

    @hookimpl
    def srv_worker_started(self, settings: Mapping[str, Any], server: Server) -> None:
        """Open the file; a relative name begins at the folder that is served."""
        self._share = settings["requests"]
        self._due = 0.0
        self._file = (server.folder / settings["file"]).open("a", buffering=1, encoding="utf-8")
        self._write("worker started", server=server.server_name, workers=server.workers)

    @hookimpl
    def srv_model_loaded(self, model: Model, seconds: float) -> None:
        """Write the model and the seconds that its load took."""
        self._write("model loaded", **_named(model), seconds=round(seconds, 3))

    @hookimpl
    def srv_model_failed(self, model: Model, reason: str) -> None:
        """Write the model and the reason."""
        self._write("model failed", **_named(model), reason=reason)

    @hookimpl(trylast=True)
    def srv_after_infer(
        self,
        model: Model,
        request: InferenceRequest,
        response: InferenceResponse | None,
        error: Exception | None,
        timings: Timings,
        stream: StreamSummary | None,
    ) -> None:
        """Write the request and its outcome: names, datatypes, shapes, the seconds it took, what was sent of a stream."""
        if not self._is_due():
            return
        self._write(
            "request",
            **_named(model),
            id=request.id,
            request_id=request.headers.get("x-request-id"),
            outcome="ok" if error is None else type(error).__name__,
            inputs=_shapes(request.inputs),
            outputs=_shapes(response.outputs if response is not None else ()),
            queue=round(timings.queue, 6),
            compute=round(timings.compute, 6),
            total=round(timings.total, 6),
            stream=None if stream is None else _summary(stream),
        )

    @hookimpl
    def srv_model_unloaded(self, model: Model) -> None:
        """Write the model."""
        self._write("model unloaded", **_named(model))

    @hookimpl
    def srv_worker_stopping(self) -> None:
        """Close the file."""
        self._write("worker stopping")
        with self._lock:
            if self._file is not None:
                self._file.close()
            self._file = None

    def _is_due(self) -> bool:
        """Whether this request is written: with a share of 0.1, each tenth is."""
        with self._lock:
            self._due += self._share
            if self._due < 1:
                return False
            self._due -= 1
            return True

    def _write(self, event: str, **fields: Any) -> None:
        line = {"time": datetime.now(UTC).isoformat(), "worker": os.getpid(), "event": event, **fields}
        text = json.dumps({name: value for name, value in line.items() if value is not None}) + "\n"
        with self._lock:
            if self._file is None:
                return
            try:
                self._file.write(text)
            except OSError as error:  # a full disk must not make requests fail
                log.warning("The event log could not be written: %s.", error)


def _named(model: Model) -> dict[str, str | None]:
    return {"model": model.name, "version": model.version}


def _summary(stream: StreamSummary) -> dict[str, int | float | bool | None]:
    first = stream.time_to_first
    return {**asdict(stream), "time_to_first": None if first is None else round(first, 6)}


def _shapes(tensors: Sequence[Tensor]) -> list[str]:
    return [f"{tensor.name} {tensor.datatype} {list(tensor.shape)}" for tensor in tensors]


event_log = EventLog()
