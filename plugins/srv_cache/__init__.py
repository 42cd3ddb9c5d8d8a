"""Response cache: a repeated request is answered without asking the model again. Off until it is configured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, fields, validate

from srv.hookspecs import Model, hookimpl
from srv.messages import InferenceRequest, InferenceResponse
from srv_cache.keys import key_of
from srv_cache.responses import ResponseCache

#: The request's key, in its state.
_KEY = "cache.key"


class Settings(Schema):
    """The models whose responses are cached, for how many seconds, and in how many bytes."""

    models = fields.List(
        fields.String(), required=True, metadata={"description": "The models whose responses are kept."}
    )
    seconds = fields.Float(
        load_default=60.0,
        validate=validate.Range(min=0),
        metadata={"description": "How many seconds a response is kept."},
    )
    max_bytes = fields.Integer(
        strict=True,
        load_default=64 * 1024 * 1024,
        validate=validate.Range(min=0),
        metadata={"description": "The most bytes of kept responses in a worker; the least used ones leave first."},
    )


class Cache:
    """The hooks. Each worker has one cache; the models that settings name must answer from inputs and parameters alone."""

    srv_needs_settings = True

    def __init__(self) -> None:
        self._models: frozenset[str] = frozenset()
        self._responses = ResponseCache(max_bytes=0, seconds=0)

    @hookimpl
    def srv_settings_schema(self) -> type[Schema]:
        """Declare models, seconds and bytes."""
        return Settings

    @hookimpl
    def srv_worker_started(self, settings: Mapping[str, Any]) -> None:
        """Begin with an empty cache."""
        self._models = frozenset(settings["models"])
        self._responses = ResponseCache(max_bytes=settings["max_bytes"], seconds=settings["seconds"])

    @hookimpl(trylast=True)
    def srv_before_infer(self, model: Model, request: InferenceRequest) -> InferenceResponse | None:
        """Return the cached response. Called last, after plugins that refuse or change requests."""
        if model.name not in self._models or _streams(model):
            return None
        key = key_of(request)
        # Kept until the end, because a model may write into its inputs, and the key would differ afterwards; with the
        # request, because a plugin called later may replace that, and the state is then the other request's too.
        request.state[_KEY] = (request, key)
        return self._responses.find(model, key)

    @hookimpl(tryfirst=True)
    def srv_after_infer(self, model: Model, request: InferenceRequest, response: InferenceResponse | None) -> None:
        """Cache what the model answered."""
        if model.name not in self._models:
            return
        asked, key = request.state.pop(_KEY, (None, b""))
        if asked is request and response is not None:
            self._responses.keep(model, key, response)

    @hookimpl
    def srv_model_reloaded(self, previous: Model) -> None:
        """Drop the responses of the model that was replaced."""
        self._responses.forget(previous)

    @hookimpl
    def srv_model_unloaded(self, model: Model) -> None:
        """Drop its responses."""
        self._responses.forget(model)


def _streams(model: Model) -> bool:
    """Whether the model may answer with a stream, whose last response is not the answer."""
    return hasattr(getattr(model, "runtime", None), "predict_stream")


cache = Cache()
