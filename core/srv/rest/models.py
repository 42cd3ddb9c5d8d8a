"""The routes that say which models there are, what they take, and whether they are ready."""

from __future__ import annotations

from typing import Any

import falcon
import orjson

from srv.dataplane import DataPlane, ModelNotReady
from srv.modelsettings import Spec
from srv.registry import ModelState
from srv.rest.errors import answer_with


class Models:
    """The names of all models."""

    def __init__(self, dataplane: DataPlane) -> None:
        self._dataplane = dataplane

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The names, sorted."""
        resp.data = orjson.dumps({"models": self._dataplane.model_names()})

    on_head = on_get


class ModelPage:
    """What a model says of itself."""

    def __init__(self, dataplane: DataPlane) -> None:
        self._dataplane = dataplane

    def on_get(self, req: falcon.Request, resp: falcon.Response, model: str, version: str | None = None) -> None:
        """Name, versions, platform, inputs and outputs."""
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
    """Whether a model serves."""

    def __init__(self, dataplane: DataPlane) -> None:
        self._dataplane = dataplane

    def on_get(self, req: falcon.Request, resp: falcon.Response, model: str, version: str | None = None) -> None:
        """200, or 503 with the reason; 404 for a model that nobody knows."""
        found = self._dataplane.model(model, version)
        ready = {"name": found.name, "ready": found.state is ModelState.READY}
        if ready["ready"]:
            resp.data = orjson.dumps(ready)
        else:
            answer_with(resp, ModelNotReady(found), ready)

    on_head = on_get


class ModelConfig:
    """A model's configuration, in Triton's words."""

    def __init__(self, dataplane: DataPlane) -> None:
        self._dataplane = dataplane

    def on_get(self, req: falcon.Request, resp: falcon.Response, model: str, version: str | None = None) -> None:
        """Name, platform, backend, batch size, inputs and outputs; srv's own settings under `parameters`."""
        resp.data = orjson.dumps(self._dataplane.config(model, version))

    on_head = on_get


class Statistics:
    """What models have answered, and where the time went."""

    def __init__(self, dataplane: DataPlane) -> None:
        self._dataplane = dataplane

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, model: str | None = None, version: str | None = None
    ) -> None:
        """A row for each version of a model, or of all models, summed over all workers since the server's start."""
        resp.data = orjson.dumps({"model_stats": self._dataplane.statistics(model, version)})

    on_head = on_get


def _tensor(spec: Spec) -> dict[str, Any]:
    """A declared tensor; where its shape is open, [-1] stands for it, because the protocol wants one."""
    tensor: dict[str, Any] = {
        "name": spec.name,
        "datatype": spec.datatype or "",
        "shape": spec.shape if spec.shape is not None else [-1],
    }
    if spec.parameters:
        tensor["parameters"] = dict(spec.parameters)
    return tensor


def _plain(value: Any) -> Any:
    """What orjson does not know, such as a tuple-like or a numpy scalar of a runtime's own parameters."""
    return value.item() if hasattr(value, "item") else str(value)
