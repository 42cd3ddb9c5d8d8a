"""Codecs of a folder's models: those that hints name, and those that the folder itself brings.

The models' code is imported in a child process, and nothing is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from threading import Timer
from typing import Any, NamedTuple, TextIO

from srv.codec import InputCodec, RequestCodec
from srv.codecs import Codecs
from srv.discovery import PluginKind, Plugins
from srv.discovery.plugins import failure
from srv.hooks import Hooks
from srv.inference.decoding import Decoding
from srv.inference.signatures import read_signature
from srv.model_settings import ModelKey, ModelSettings
from srv.models.code_folders import codes_of
from srv.models.folder_codecs import FolderCodecs, codecs_of
from srv.probe.host import run
from srv.probe.messages import Job
from srv.runtime import Runtime
from srv.settings import ServerSettings

_TASK = "srv_dockerfile.model_codecs:look"
#: Seconds after which the user is told what takes so long.
_SILENT = 1.0


class CodecsOfModels(NamedTuple):
    """What was seen of the codecs of a folder's models."""

    #: The content types that hints name and no folder brings.
    hinted: frozenset[str] = frozenset()
    #: The content types that each model's folder brings; a model that could not be imported is not here.
    own: Mapping[ModelKey, frozenset[str]] = {}
    #: The models that could not be imported, by the reason.
    failures: Mapping[str, list[ModelKey]] = {}

    def brings(self, model: ModelSettings, content_type: str) -> bool:
        """Return whether a model's folder brings a content type."""
        return content_type in self.own.get((model.name, model.version), ())

    def is_unknown(self, model: ModelSettings) -> bool:
        """Return whether nobody knows what a model's folder brings, because it could not be imported here."""
        key = model.name, model.version
        return key not in self.own and any(key in models for models in self.failures.values())


def content_types(model: ModelSettings) -> Iterator[str]:
    """Yield the content types that a model's settings name."""
    specs = (*(model.inputs or ()), *(model.outputs or ()))
    for said in (model.parameters.content_type, *(spec.parameters.get("content_type") for spec in specs)):
        if isinstance(said, str):
            yield said


def codecs_of_models(
    settings: ServerSettings, models: Collection[ModelSettings], plugins: Plugins, tell: Callable[[str], object]
) -> CodecsOfModels:
    """Return what the code of the folder's models says of codecs.

    Where all codecs are srv's own, and settings name no other one, the image has them, and nothing is imported. `tell`
    hears of it when it takes long.
    """
    codecs = [row for row in plugins.rows if row.kind is PluginKind.CODEC and row.usable]
    said = {content_type for model in models for content_type in content_types(model)}
    if not models or (all(row.ours for row in codecs) and said <= {row.name for row in codecs}):
        return CodecsOfModels()
    job = Job(
        _TASK, choice=plugins.choice, sections=settings.sections, given={"folder": str(settings.folder.absolute())}
    )
    slow = Timer(_SILENT, tell, ["Importing the models' code, to see which codecs it names and brings ..."])
    slow.start()
    try:
        outcome = run(job)
    finally:
        slow.cancel()
    failures: dict[str, list[ModelKey]] = {}
    own: dict[ModelKey, frozenset[str]] = {}
    for row in outcome.told:
        if "failed" in row:
            failures.setdefault(row["failed"], []).append((row["model"], row["version"]))
        if "own" in row:
            own[row["model"], row["version"]] = frozenset(row["own"])
    named = frozenset(name for row in outcome.told for name in row.get("codecs", ()))
    return CodecsOfModels(named, own, failures)


def look(job: Job, plugins: Plugins, _: TextIO) -> Iterator[dict[str, Any]]:
    """Import each model's class in the child process, and yield the content types that its hints and its folder bring."""
    from srv_dockerfile.planning import models_of  # here, because that module looks at this one

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
