"""Codecs that the hints of a folder's models name: its code is imported in a child process, and nothing is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Timer
from typing import Any, TextIO

from srv.codec import InputCodec, RequestCodec
from srv.codecs import Codecs
from srv.discovery import PluginKind, Plugins
from srv.discovery.plugins import failure
from srv.hooks import Hooks
from srv.inference.decoding import Decoding
from srv.inference.signatures import read_signature
from srv.model_settings import ModelSettings
from srv.models.model_imports import ModelCode
from srv.models.module_names import identifier_of
from srv.probe.host import run
from srv.probe.messages import Job
from srv.runtime import Runtime
from srv.settings import ServerSettings

_TASK = "srv_dockerfile.hint_codecs:look"
#: Seconds after which the user is told what takes so long.
_SILENT = 1.0


def hinted(
    settings: ServerSettings, plugins: Plugins, tell: Callable[[str], object]
) -> tuple[set[str], dict[str, list[str]]]:
    """Return the content types that hints of the folder's models name, and the models that could not be imported, by reason.

    Where all codecs are srv's own, the image has them, and nothing is imported. `tell` hears of it when it takes long.
    """
    if all(row.ours for row in plugins.rows if row.kind is PluginKind.CODEC and row.usable):
        return set(), {}
    job = Job(
        _TASK, choice=plugins.choice, sections=settings.sections, given={"folder": str(settings.folder.absolute())}
    )
    slow = Timer(_SILENT, tell, ["Importing the models' code, to see which codecs its hints name ..."])
    slow.start()
    try:
        outcome = run(job)
    finally:
        slow.cancel()
    failures: dict[str, list[str]] = {}
    for row in outcome.told:
        if "failed" in row:
            failures.setdefault(row["failed"], []).append(row["model"])
    return {name for row in outcome.told for name in row.get("codecs", ())}, failures


def look(job: Job, plugins: Plugins, _: TextIO) -> Iterator[dict[str, Any]]:
    """Import each model's class in the child process, and yield the content types that its hints name."""
    from srv_dockerfile.planning import models_of  # here, because that module looks at this one

    Hooks.start(plugins, sections=job.sections)  # which bring runtimes and codecs too
    codecs = Codecs(plugins)
    seen: set[str] = set()
    for model in models_of(Path(job.given["folder"]), plugins):
        key = f"model:{model.name}@{model.version}"
        if key in job.broken:
            yield {"model": model.name, "failed": job.broken[key]}
            continue
        if model.implementation is None:
            if model.runtime in seen:
                continue
            seen.add(str(model.runtime))
        yield {"trying": key}
        try:
            yield {"model": model.name, "codecs": sorted(_named(model, plugins, codecs))}
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a model's module may raise anything
            yield {"model": model.name, "failed": failure(error)}


def _named(model: ModelSettings, plugins: Plugins, codecs: Codecs) -> set[str]:
    """Return the content types that the hints of a model's methods name."""
    runtime_class = _class_of(model, plugins)
    runtime = object.__new__(runtime_class)
    Runtime.__init__(runtime, model)  # its own __init__ may read the model's weights
    decoding = Decoding(codecs, model)
    found: set[InputCodec | RequestCodec] = set()
    for method in ("predict", "predict_stream"):
        call = getattr(runtime, method, None)
        if call is not None:
            found |= read_signature(call, method, codecs, decoding).codecs
    return {codec.content_type for codec in found}


def _class_of(model: ModelSettings, plugins: Plugins) -> Any:
    if model.implementation is None:
        return plugins.load(PluginKind.RUNTIME, model.runtime or "")
    code = ModelCode(model.folder.absolute(), identifier_of(model.name, model.version))
    with code.plain_names():
        return code.attribute(model.implementation)
