"""Warm-up: the requests of a model's settings, which it answers before it serves."""

from __future__ import annotations

import orjson

from srv.errors import SrvError
from srv.metrics_types import Stages
from srv.models.registry import ModelVersion
from srv.rest.infer import read_request


class WarmUpFailed(SrvError):
    """A model could not answer one of the requests that its settings warm it up with."""

    def __init__(self, place: int, error: Exception) -> None:
        super().__init__(f"warmup[{place}] was not answered: {error}")


def warm_up(model: ModelVersion) -> None:
    """Send a model the requests of its settings' `warmup`, before it serves. Raises WarmUpFailed for the first that fails."""
    for place, said in enumerate(model.settings.warmup):
        try:
            request = read_request(orjson.dumps(dict(said)), octets=model.octets)
            request.model_name, request.model_version = model.name, model.wire_version
            if model.answer is not None:
                model.answer(request, None, Stages())
        except Exception as error:
            raise WarmUpFailed(place, error) from error
