"""Requests to routes of runtimes' own: found in the model that serves, answered, and counted apart from inference."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from srv.errors import ClientLeft
from srv.inference.execution import ModelGone
from srv.inference.routes.failures import RouteGone
from srv.messages import ModelRoute
from srv.metrics_types import OK, RouteKind, Stages
from srv.models.registry import ModelState, ModelVersion, ServedRoute
from srv.planes.dataplane import DataPlane
from srv.planes.readiness import ModelNotReady
from srv.planes.statistics import outcome_of
from srv.routes import RouteRequest, RouteResponse


class RouteRequests:
    """Answers requests to the routes of models. May be called from any thread."""

    def __init__(self, dataplane: DataPlane) -> None:
        self._dataplane = dataplane

    def answer(
        self,
        model: ModelVersion,
        version: str | None,
        route: ServedRoute,
        request: RouteRequest,
        *,
        received: float,
        stages: Stages,
    ) -> RouteResponse:
        """Return the response of a model's route, or of the model that replaced it meanwhile.

        `version` is the one that the client named. The body of a stream is to be closed, and counts at its end. Raises
        ModelNotReady, RouteGone, and what the route has to say.
        """
        wanted = route.described
        stages.queue = int((stages.taken - received) * 1e9)
        stages.input = int((time.monotonic() - stages.taken) * 1e9)
        try:
            while True:
                try:
                    response = route.answer(request, received, stages)
                    break
                except ModelGone:
                    model = self._successor(model, version)
                    route = _same_route(model, wanted)
        except Exception as error:
            self.count(model, wanted, outcome_of(error), received, stages)
            raise
        outcome = OK if response.status < 400 else str(response.status)
        if wanted.streams:
            response.body = _Counted(
                response.body, lambda ended: self.count(model, wanted, ended or outcome, received, stages)
            )
        else:
            self.count(model, wanted, outcome, received, stages)
        return response

    def count(self, model: ModelVersion, route: ModelRoute, outcome: str, received: float, stages: Stages) -> None:
        """Count a request to a route of a model."""
        self._dataplane.route_answered(
            RouteKind(model.name, model.wire_version, route.title, outcome), stages, received
        )

    def _successor(self, model: ModelVersion, version: str | None) -> ModelVersion:
        found = self._dataplane.model(model.name, version)
        if found is model or found.state is not ModelState.READY:
            raise ModelNotReady(found)
        return found


class _Counted:
    """A stream's body, unchanged; `ended` is called once when it is closed, with the error's code if it failed."""

    def __init__(self, body: Any, ended: Callable[[str | None], object]) -> None:
        self._body = body
        self._ended: Callable[[str | None], object] | None = ended
        self._failure: str | None = outcome_of(ClientLeft())

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._body
            self._failure = None
        except Exception as error:
            self._failure = outcome_of(error)
            raise

    def close(self) -> None:
        """Close the body, and count the request."""
        ended, self._ended = self._ended, None
        try:
            self._body.close()
        finally:
            if ended is not None:
                ended(self._failure)


def _same_route(model: ModelVersion, wanted: ModelRoute) -> ServedRoute:
    """Return the route of that method and path in another generation of the model. Raises RouteGone."""
    for route in model.routes:
        if (route.described.method, route.described.path) == (wanted.method, wanted.path):
            return route
    raise RouteGone(model.name, wanted.title)
