"""The routes that say how the server is: live, ready, and what it is called."""

from __future__ import annotations

import falcon
import orjson

from srv.dataplane import DataPlane
from srv.rest.errors import answer_with


class Live:
    """Whether the process can answer, which it does by answering."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Always live."""
        resp.data = b'{"live":true}'

    on_head = on_get


class Ready:
    """Whether this worker should get requests."""

    def __init__(self, dataplane: DataPlane) -> None:
        self._readiness = dataplane.readiness

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """200, or 503 with the reason."""
        problem = self._readiness.problem()
        if problem is None:
            resp.data = b'{"ready":true}'
        else:
            answer_with(resp, problem, {"ready": False})

    on_head = on_get


class Root:
    """The first page: who answers here, and where to look next."""

    def __init__(self, dataplane: DataPlane) -> None:
        self._dataplane = dataplane

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Name, version, and the path of the readiness probe."""
        server = self._dataplane.server()
        resp.data = orjson.dumps({"name": server.name, "version": server.version, "health": "/v2/health/ready"})

    on_head = on_get


class Server:
    """The protocol's server metadata."""

    def __init__(self, dataplane: DataPlane) -> None:
        self._dataplane = dataplane

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Name, version and the extensions that work."""
        server = self._dataplane.server()
        resp.data = orjson.dumps({"name": server.name, "version": server.version, "extensions": server.extensions})

    on_head = on_get
