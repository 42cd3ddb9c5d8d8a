"""The routes of the server itself: liveness, readiness, and its metadata."""

from __future__ import annotations

import falcon
import orjson

from srv.planes.dataplane import DataPlane
from srv.rest.errors import answer_with


class Live:
    """Liveness: the process answers."""

    srv_nonblocking = True

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200."""
        resp.data = b'{"live":true}'

    on_head = on_get


class Ready:
    """Readiness: whether this worker should get requests."""

    srv_nonblocking = True

    def __init__(self, dataplane: DataPlane) -> None:
        self._readiness = dataplane.readiness

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200, or 503 with the reason."""
        problem = self._readiness.problem()
        if problem is None:
            resp.data = b'{"ready":true}'
        else:
            answer_with(resp, problem, {"ready": False})

    on_head = on_get


class Root:
    """The root: name, version and the path of the readiness probe."""

    srv_nonblocking = True

    def __init__(self, dataplane: DataPlane, root_path: str) -> None:
        self._dataplane = dataplane
        self._health = f"{root_path}/v2/health/ready"

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the path of the probe as clients ask for it, prefix included."""
        server = self._dataplane.server()
        resp.data = orjson.dumps({"name": server.name, "version": server.version, "health": self._health})

    on_head = on_get


class ServerResource:
    """The server metadata of the protocol."""

    srv_nonblocking = True

    def __init__(self, dataplane: DataPlane) -> None:
        self._dataplane = dataplane

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with name, version and the extensions that work."""
        server = self._dataplane.server()
        resp.data = orjson.dumps({"name": server.name, "version": server.version, "extensions": server.extensions})

    on_head = on_get
