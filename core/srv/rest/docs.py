"""The routes of the OpenAPI documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import falcon
import orjson

from srv.messages import ModelMetadata
from srv.models.registry import ModelState
from srv.planes.dataplane import DataPlane
from srv.rest.openapi import Route, document, model_document


class Description:
    """The face, or one of its models, as OpenAPI 3. `complete` lets plugins change a document."""

    def __init__(
        self,
        dataplane: DataPlane,
        routes: Callable[[], Sequence[Route]],
        root_path: str,
        complete: Callable[[dict[str, Any]], None],
    ) -> None:
        self._dataplane = dataplane
        self._routes = routes
        self._root = root_path
        self._complete = complete

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, model: str | None = None, version: str | None = None
    ) -> None:
        """Answer with a document made for this request, because models come and go."""
        server, routes = self._dataplane.server(), self._routes()
        if model is None:
            made = document(server, routes, self._models(), root_path=self._root)
        else:
            metadata = self._dataplane.metadata(model, version)
            made = model_document(server, routes, metadata, version, root_path=self._root)
        made = orjson.loads(orjson.dumps(made))  # because parts of it stand in every document
        self._complete(made)
        resp.data = orjson.dumps(made)

    on_head = on_get

    def _models(self) -> Iterator[ModelMetadata]:
        """Yield the models that serve, in their default versions."""
        registry = self._dataplane.registry
        for name in registry.names():
            model = registry.find(name)
            if model.state is ModelState.READY and model.metadata is not None:
                yield model.metadata
