"""What srv-mlserver adds to a server: runtimes of MLServer's classes, and their custom handlers.

Nothing here imports mlserver, which takes seconds: a class of its own has imported it already.
"""

from __future__ import annotations

import sys

from marshmallow import Schema, fields

from srv import ModelSettings, Runtime, hookimpl
from srv_mlserver.custom_handlers import CustomHandlers
from srv_mlserver.served_names import ServedNames


class Settings(Schema):
    """The keys of the section `mlserver`."""

    prefer_native = fields.Boolean(
        load_default=False,
        truthy={True},
        falsy={False},
        metadata={
            "description": "Whether a model whose class is one of MLServer's runtimes, such as mlserver_sklearn.SKLearnModel, is served by srv's "
            "own runtime for the same files where one is installed."
        },
    )


class Hooks:
    """The hooks of one worker."""

    def __init__(self) -> None:
        self._handlers = CustomHandlers()
        self._served = ServedNames()

    @hookimpl
    def srv_settings_schema(self) -> type[Schema]:
        """Declare prefer_native, which srv reads when it reads the models' settings."""
        return Settings

    @hookimpl
    def srv_adopt(self, cls: type, model_settings: ModelSettings) -> type[Runtime] | None:
        """Make a runtime of a class that extends mlserver.MLModel."""
        module = sys.modules.get("mlserver.model")
        if module is None or not issubclass(cls, module.MLModel):
            return None
        from srv_mlserver.runtime import runtime_of  # it imports mlserver

        return runtime_of(cls, model_settings.implementation or cls.__qualname__, self._handlers, self._served)

    @hookimpl(trylast=True)  # so that whoever checks credentials is asked first, wherever it comes from
    def srv_http_middleware(self) -> list[object]:
        """Answer requests to the custom handlers of models."""
        return [self._handlers]

    @hookimpl(tryfirst=True)  # so that other interceptors see srv's own form
    def srv_grpc_interceptors(self) -> list[object]:
        """Answer streams in the form of MLServer's clients where they ask a class of MLServer's."""
        from srv_mlserver.streams import Streams  # it imports grpc, which only workers need

        return [Streams(self._served)]


hooks = Hooks()
