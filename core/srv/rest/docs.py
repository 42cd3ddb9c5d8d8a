"""The routes that describe all the others, for programs: OpenAPI documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import falcon
import orjson

from srv.dataplane import DataPlane
from srv.messages import ModelMetadata
from srv.registry import ModelState
from srv.rest.openapi import Route, document, model_document


class Description:
    """The whole face, or one model, as OpenAPI 3."""

    def __init__(self, dataplane: DataPlane, routes: Callable[[], Sequence[Route]], root_path: str) -> None:
        self._dataplane = dataplane
        self._routes = routes
        self._root = root_path

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, model: str | None = None, version: str | None = None
    ) -> None:
        """The document, made anew, because models come and go."""
        server, routes = self._dataplane.server(), self._routes()
        if model is None:
            made = document(server, routes, self._models(), root_path=self._root)
        else:
            metadata = self._dataplane.metadata(model, version)
            made = model_document(server, routes, metadata, version, root_path=self._root)
        resp.data = orjson.dumps(made)

    on_head = on_get

    def _models(self) -> Iterator[ModelMetadata]:
        """Those that serve, in their default versions."""
        registry = self._dataplane.registry
        for name in registry.names():
            model = registry.find(name)
            if model.state is ModelState.READY and model.metadata is not None:
                yield model.metadata
