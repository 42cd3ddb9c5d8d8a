"""Models of runtimes' classes, loaded without a server, and what they declare."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from srv.codecs import Codecs
from srv.inference.event_loop import EventLoop
from srv.inference.pipeline import prepare
from srv.model_settings import ModelSettings, Spec
from srv.models.registry import ModelVersion
from srv.runtime import Runtime
from srv.settings import ServerSettings


def loaded(
    runtime_class: type[Runtime], codecs: Codecs, loop: EventLoop, folder: Path, **settings: Any
) -> ModelVersion:
    """Return a model of this runtime that is ready to answer, with these model settings."""
    model = ModelVersion(ModelSettings(name="m", implementation="m.M", **settings))
    runtime = runtime_class(model.settings)
    runtime.load()
    prepare(model, runtime, codecs=codecs, loop=loop, settings=ServerSettings(folder=folder))
    return model


def bare(specs: Iterable[Spec]) -> tuple[Spec, ...]:
    """Return Specs without parameters, such as the content types that the metadata tells."""
    return tuple(Spec(spec.datatype, spec.shape, spec.name) for spec in specs)
