"""Codecs of a folder's models: those that hints name, and those that the folder itself brings.

The models' code is imported in a child process, and nothing is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from threading import Timer
from typing import NamedTuple

from srv.discovery import PluginKind, Plugins
from srv.model_settings import ModelKey, ModelSettings
from srv.probe.host import run
from srv.probe.messages import Job
from srv.settings import ServerSettings

#: What the child process does; it looks for the models itself.
_TASK = "srv_dockerfile.codec_probe:look"
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
