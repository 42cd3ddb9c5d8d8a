"""The child process that imports the models' code of a folder, and tells which codecs its hints and its folders bring."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from srv.codec import InputCodec, RequestCodec
from srv.codecs import Codecs
from srv.discovery import PluginKind, Plugins
from srv.discovery.plugins import failure
from srv.hooks import Hooks
from srv.inference.decoding import Decoding
from srv.inference.signatures import read_signature
from srv.model_settings import ModelSettings
from srv.models.code_folders import codes_of
from srv.models.folder_codecs import FolderCodecs, codecs_of
from srv.probe.messages import Job
from srv.runtime import Runtime
from srv_dockerfile.planning import models_of


def look(job: Job, plugins: Plugins, _: TextIO) -> Iterator[dict[str, Any]]:
    """Import each model's class in the child process, and yield the content types that its hints and its folder bring."""
    Hooks.start(plugins, sections=job.sections)  # which bring runtimes and codecs too
    codecs = Codecs(plugins)
    seen: set[str] = set()
    for model in models_of(Path(job.given["folder"]), plugins):
        key = f"model:{model.name}@{model.version}"
        row = {"model": model.name, "version": model.version}
        if key in job.broken:
            yield {**row, "failed": job.broken[key]}
            continue
        if model.implementation is None and not model.codecs:
            if model.runtime in seen:
                continue
            seen.add(str(model.runtime))
        yield {"trying": key}
        try:
            runtime_class, own = _imported(model, plugins)
            yield {**row, "own": sorted(own)}
            yield {**row, "codecs": sorted(_named(model, runtime_class, FolderCodecs(own, codecs)) - {*own})}
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a model's module may raise anything
            yield {**row, "failed": failure(error)}


def _named(model: ModelSettings, runtime_class: Any, codecs: Codecs) -> set[str]:
    """Return the content types that the hints of a model's methods name."""
    runtime = object.__new__(runtime_class)
    Runtime.__init__(runtime, model)  # its own __init__ may read the model's weights
    decoding = Decoding(codecs, model)
    found: set[InputCodec | RequestCodec] = set()
    for method in ("predict", "predict_stream"):
        call = getattr(runtime, method, None)
        if call is not None:
            found |= read_signature(call, method, codecs, decoding).codecs
    return {codec.content_type for codec in found}


def _imported(model: ModelSettings, plugins: Plugins) -> tuple[Any, dict[str, InputCodec | RequestCodec]]:
    """Return a model's class, and the codecs of its own folder."""
    codes = codes_of(model)
    if model.implementation is not None:
        with codes.implementation.plain_names():
            runtime_class: Any = codes.implementation.attribute(model.implementation)
    else:  # defaults may leave it to the models
        runtime_class = Runtime if model.runtime is None else plugins.load(PluginKind.RUNTIME, model.runtime)
    return runtime_class, codecs_of(model, codes)
