"""The routes of the server itself: liveness, readiness, and its metadata."""

from __future__ import annotations

from collections.abc import Callable

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


#: Where a plugin's page for browsers stands, if there is one.
PAGE = "/v2/docs"


class WholeServer:
    """What `OPTIONS *` asks: the server as a whole, and no path of it."""

    def on_options(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the methods that some path has."""
        resp.set_header("Allow", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT")
        resp.set_header("Content-Length", "0")


class Root:
    """The root: name, version and the path of the readiness probe. Browsers are led to the page, where there is one."""

    srv_nonblocking = True

    def __init__(self, dataplane: DataPlane, root_path: str, has_page: Callable[[], bool]) -> None:
        self._dataplane = dataplane
        self._root = root_path
        self._has_page = has_page

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with paths as clients ask for them, prefix included."""
        server = self._dataplane.server()
        answer = {"name": server.name, "version": server.version, "health": f"{self._root}/v2/health/ready"}
        if self._has_page():
            resp.set_header("Vary", "Accept")
            if is_browser(req):
                resp.status = falcon.HTTP_303
                # Relative where no prefix is known, because a proxy may have taken one off.
                resp.location = self._root + PAGE if self._root else PAGE[1:]
            answer["docs"] = self._root + PAGE
        resp.data = orjson.dumps(answer)

    on_head = on_get


def is_browser(req: falcon.Request) -> bool:
    """Return whether a client asks for HTML rather than JSON, by a name and not by `*/*`."""
    accepted = req.get_header("Accept") or ""
    return "text/html" in accepted and req.client_prefers(("application/json", "text/html")) == "text/html"


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
