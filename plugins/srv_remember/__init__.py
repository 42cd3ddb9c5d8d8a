"""Remember answers: the same request to the same model is answered without asking it again. Off until configured."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, fields, validate

from srv.hookspecs import Model, hookimpl
from srv.messages import InferenceRequest, InferenceResponse
from srv_remember.answers import Answers
from srv_remember.keys import key_of


class Settings(Schema):
    """Which models' answers are kept, for how long, and in how much memory."""

    models = fields.List(fields.String(), required=True)
    seconds = fields.Float(load_default=60.0, validate=validate.Range(min=0))
    max_bytes = fields.Integer(strict=True, load_default=64 * 1024 * 1024, validate=validate.Range(min=0))


class Remember:
    """The hooks. A worker has one memory; models must answer from inputs and parameters alone, as settings vouch."""

    srv_needs_settings = True

    def __init__(self) -> None:
        self._models: frozenset[str] = frozenset()
        self._answers = Answers(max_bytes=0, seconds=0)
        self._asked = threading.local()

    @hookimpl
    def srv_settings_schema(self) -> type[Schema]:
        """Models, seconds, bytes."""
        return Settings

    @hookimpl
    def srv_worker_started(self, settings: Mapping[str, Any]) -> None:
        """Begin with an empty memory."""
        self._models = frozenset(settings["models"])
        self._answers = Answers(max_bytes=settings["max_bytes"], seconds=settings["seconds"])

    @hookimpl(trylast=True)
    def srv_before_infer(self, model: Model, request: InferenceRequest) -> InferenceResponse | None:
        """The answer, where it is remembered; last, so that whoever refuses requests or changes them goes before."""
        if model.name not in self._models or _streams(model):
            return None
        key = key_of(request)
        # In the thread, because a model may write into its inputs, and the key would be another one afterwards.
        self._asked.last = (request, key)
        return self._answers.find(model, key)

    @hookimpl(tryfirst=True)
    def srv_after_infer(self, model: Model, request: InferenceRequest, response: InferenceResponse | None) -> None:
        """Remember what the model answered."""
        asked, key = self._asked.__dict__.pop("last", (None, b""))
        if asked is request and response is not None:
            self._answers.keep(model, key, response)

    @hookimpl
    def srv_model_loaded(self, model: Model) -> None:
        """Forget what the one before it answered."""
        self._answers.forget(model.name)

    @hookimpl
    def srv_model_unloaded(self, model: Model) -> None:
        """Forget its answers."""
        self._answers.forget(model.name)


def _streams(model: Model) -> bool:
    """Whether the model may answer with a stream, whose last response is not the answer."""
    return hasattr(getattr(model, "runtime", None), "predict_stream")


remember = Remember()
