"""The repository extension: the index, and loading and unloading models."""

from __future__ import annotations

from typing import Any

import falcon
import msgspec
import orjson

from srv.planes.modelplane import IndexRow, ModelPlane, check_brings_nothing
from srv.rest.envelope import read_json
from srv.rest.infer import RequestReader
from srv.rest.json_tensors import ABSENT


class IndexEnvelope(msgspec.Struct):
    """The body of a request for the index."""

    ready: bool | None = None


class ControlEnvelope(msgspec.Struct):
    """The body of a request to load or unload a model."""

    parameters: dict[str, Any] | None = None


class Index:
    """The index: every model, loaded or not."""

    def __init__(self, plane: ModelPlane, reader: RequestReader) -> None:
        self._plane = plane
        self._reader = reader

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the index; an empty body asks for all of it."""
        body = bytes(self._reader.body(req))
        wish = read_json(body, _index) if body.strip() not in ABSENT else IndexEnvelope()
        resp.data = orjson.dumps([_row(row) for row in self._plane.index(ready=bool(wish.ready))])


class Control:
    """Loading of a model, or unloading."""

    def __init__(self, plane: ModelPlane, reader: RequestReader, *, loads: bool) -> None:
        self._act = plane.load if loads else plane.unload
        self._reader = reader

    def on_post(self, req: falcon.Request, resp: falcon.Response, model: str) -> None:
        """Load or unload the model, and answer when every worker has done so."""
        req.context.model = None
        body = bytes(self._reader.body(req))
        wish = read_json(body, _control) if body.strip() not in ABSENT else ControlEnvelope()
        check_brings_nothing(wish.parameters or ())
        self._act(model)
        resp.data = b"{}"


_index = msgspec.json.Decoder(IndexEnvelope).decode
_control = msgspec.json.Decoder(ControlEnvelope).decode


def _row(row: IndexRow) -> dict[str, str]:
    return {"name": row.name, "version": row.version, "state": row.state.value, "reason": row.reason}
