"""The routes of models: their list, metadata, readiness, configuration and statistics."""

from __future__ import annotations

from typing import Any

import falcon
import orjson

from srv.model_settings import Spec
from srv.models.registry import ModelState
from srv.planes.dataplane import DataPlane
from srv.planes.readiness import ModelNotReady
from srv.rest.errors import answer_with


class ModelList:
    """The names of all models."""

    srv_nonblocking = True

    def __init__(self, dataplane: DataPlane) -> None:
        self._dataplane = dataplane

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the names, sorted."""
        resp.data = orjson.dumps({"models": self._dataplane.model_names()})

    on_head = on_get


class ModelPage:
    """The metadata of a model."""

    srv_nonblocking = True

    def __init__(self, dataplane: DataPlane) -> None:
        self._dataplane = dataplane

    def on_get(self, req: falcon.Request, resp: falcon.Response, model: str, version: str | None = None) -> None:
        """Answer with name, versions, platform, inputs and outputs."""
        metadata = self._dataplane.metadata(model, version)
        answer: dict[str, Any] = {
            "name": metadata.name,
            "versions": metadata.versions,
            "platform": metadata.platform,
            "inputs": [_tensor(spec) for spec in metadata.inputs],
            "outputs": [_tensor(spec) for spec in metadata.outputs],
        }
        if metadata.parameters:
            answer["parameters"] = metadata.parameters
        resp.data = orjson.dumps(answer, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY)

    on_head = on_get


class ModelReady:
    """The readiness of a model."""

    srv_nonblocking = True

    def __init__(self, dataplane: DataPlane) -> None:
        self._dataplane = dataplane

    def on_get(self, req: falcon.Request, resp: falcon.Response, model: str, version: str | None = None) -> None:
        """Answer 200, or 503 with the reason; 404 for an unknown model."""
        found = self._dataplane.model(model, version)
        ready = {"name": found.name, "ready": found.state is ModelState.READY}
        if ready["ready"]:
            resp.data = orjson.dumps(ready)
        else:
            answer_with(resp, ModelNotReady(found), ready)

    on_head = on_get


class ModelConfig:
    """The configuration of a model, as Triton has it."""

    srv_nonblocking = True

    def __init__(self, dataplane: DataPlane) -> None:
        self._dataplane = dataplane

    def on_get(self, req: falcon.Request, resp: falcon.Response, model: str, version: str | None = None) -> None:
        """Answer with name, platform, backend, batch size, inputs and outputs; srv's settings under `parameters`."""
        resp.data = orjson.dumps(self._dataplane.config(model, version))

    on_head = on_get


class Statistics:
    """The statistics of models: what they have answered, and where the time went."""

    def __init__(self, dataplane: DataPlane) -> None:
        self._dataplane = dataplane

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, model: str | None = None, version: str | None = None
    ) -> None:
        """Answer with a row for each version of a model, or of all models, summed over all workers."""
        resp.data = orjson.dumps({"model_stats": self._dataplane.statistics(model, version)})

    on_head = on_get


def _tensor(spec: Spec) -> dict[str, Any]:
    """Return a declared tensor as JSON; an open shape is [-1], because the protocol asks for one."""
    tensor: dict[str, Any] = {
        "name": spec.name,
        "datatype": spec.datatype or "",
        "shape": spec.shape if spec.shape is not None else [-1],
    }
    if spec.parameters:
        tensor["parameters"] = dict(spec.parameters)
    return tensor


def _plain(value: Any) -> Any:
    """Return a value that orjson does not know, such as a numpy scalar in a runtime's parameters, as one it knows."""
    return value.item() if hasattr(value, "item") else str(value)
