"""Updates the models from their folders: edited models are loaded again, new ones loaded, removed ones unloaded."""

from __future__ import annotations

import logging
import os
import threading
import traceback
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from srv.errors import LoadFailed, SettingsError
from srv.model_settings import ModelKey, ModelParameters, ModelSettings
from srv.models.code_folders import codecs_folder, implementation_folder
from srv.models.registry import ModelState, ModelVersion
from srv.repository import FailedModel, Found
from srv.serve.reloading.files import Area
from srv.serve.reloading.packages import SUFFIXES
from srv.serve.reloading.reloadable_server import ReloadableServer
from srv.settings.models import FILE

log = logging.getLogger("srv.reload")

#: Seconds that a load keeps other edits waiting. One that takes longer may hang, until its model is edited.
_LOAD_WAITS = 5.0
#: A repository's models lie at most so deep below its root.
_DEEPEST = 2


class WatchedModels:
    """The models of one worker, updated while somebody edits them. Used by one thread."""

    def __init__(self, server: ReloadableServer) -> None:
        self._server = server
        self._loading: dict[str, threading.Thread] = {}
        # Absolute from the start, because a model may change the current directory.
        folders = (server.settings.folder, server.settings.models_dir)
        self._roots = [folder.absolute() for folder in folders if folder is not None]
        self._found = self._read()

    def areas(self) -> Iterator[Area]:
        """Yield what to watch: the roots for new models, and the files of the models that are there."""
        for root in self._roots:
            yield Area(root, depth=_DEEPEST)
        for model in self._found.models if self._found is not None else ():
            yield Area(model.folder)
            artifact = _far_artifact(model)
            if artifact is not None:
                yield Area(artifact)
            for folder in _folders_of_defaults(model):
                yield Area(folder, suffixes=SUFFIXES)

    def serving(self) -> list[ModelKey]:
        """Return the models that serve now."""
        return [(model.name, model.version) for model in self._kept() if model.state is ModelState.READY]

    def follow(self, changed: Collection[Path], prepare: Callable[[], None], loaded: Callable[[Path], None]) -> None:
        """Update the models from what is on the disk. A model whose new files are broken goes on as it was.

        `prepare` is called when it is known which models there are, and before any is loaded; `loaded` with the folder
        of each model whose load has ended.
        """
        found = self._read()
        if found is None:
            return
        before, self._found = self._found, found
        prepare()
        old = {} if before is None else {_key(model): model for model in before.models}
        self._remove_what_is_gone(found)
        known = {} if before is None else {failed.source: str(failed.error) for failed in before.failures}
        for failed in found.failures:
            if known.get(failed.source) != str(failed.error) or _is_touched(failed, changed):
                self._keep_or_refuse(failed)
        for model in found.models:
            causes = _causes(model, found, changed)
            if causes or old.get(_key(model)) != model:
                self._load(model, causes)
                loaded(model.folder)

    def _read(self) -> Found | None:
        try:
            return self._server.repository.models()
        except SettingsError as error:
            log.error("The models go on as they are: %s", error)  # noqa: TRY400  a sentence needs no traceback
            return None

    def _kept(self) -> list[ModelVersion]:
        return self._server.registry.models()

    def _remove_what_is_gone(self, found: Found) -> None:
        there = {_key(model) for model in found.models} | {_key(failed) for failed in found.failures}
        for model in self._kept():
            broken = [failed for failed in found.failures if model.settings.source in failed.source]
            if _key(model) in there or (broken and model.state is ModelState.READY):
                continue
            if model.state is ModelState.READY:
                self._server.loader.unload(model)
            self._server.registry.remove(model)
            log.info("Model '%s' is not in the repository any more and is gone.", model.title)
            if model.name not in self._server.registry.names():
                self._server.dataplane.readiness.want_no_longer(model.name)

    def _keep_or_refuse(self, failed: FailedModel) -> None:
        for model in self._kept():
            if model.state is ModelState.READY and (
                _key(model) == _key(failed) or model.settings.source in failed.source
            ):
                model.reason = f"it serves, and its settings cannot be used as they are now: {failed.reason}"
                log.error("Model '%s' goes on as it was: %s", model.title, failed.error)
                return
        log.error("Model '%s' cannot be served: %s", failed.name, failed.error)
        settings = ModelSettings(failed.name, parameters=ModelParameters(version=failed.version), source=failed.source)
        self._server.loader.refuse(settings, failed.reason)

    def _load(self, settings: ModelSettings, causes: list[Path]) -> None:
        title = ModelVersion(settings).title
        if _key(settings) not in map(_key, self._kept()):
            log.info("Model '%s' is new.", title)
        else:
            log.info("%s: loading model '%s' again.", _said(causes, settings.folder), title)
        earlier = self._loading.get(settings.name)
        overtakes = earlier is not None and earlier.is_alive()
        thread = threading.Thread(
            target=self._load_now, args=(settings, title, overtakes), name="srv-reload", daemon=True
        )
        self._loading[settings.name] = thread
        thread.start()
        thread.join(_LOAD_WAITS)

    def is_loading(self) -> bool:
        """Return whether a load has not ended."""
        return any(thread.is_alive() for thread in self._loading.values())

    def _load_now(self, settings: ModelSettings, title: str, overtakes: bool) -> None:  # noqa: FBT001  Thread passes it so
        try:
            self._server.loader.load(settings, overtakes=overtakes)
        except LoadFailed as error:
            serves = _key(settings) in self.serving()
            goes = "goes on as it was" if serves else "does not serve"
            log.error("Model '%s' %s: %s", title, goes, _reason(error, settings))  # noqa: TRY400  the loader has shown it


def _key(model: ModelVersion | ModelSettings | FailedModel) -> ModelKey:
    return model.name, model.version


def _causes(model: ModelSettings, found: Found, changed: Collection[Path]) -> list[Path]:
    """Return the changed files that belong to a model: those in its folder that are no inner model's, and its artifact.

    Also the code of its defaults, where these give it a class.
    """
    others = [other.folder for other in found.models if other.folder != model.folder]
    inner = [folder for folder in others if _is_inside(folder, model.folder)]
    own = [path for path in changed if _is_inside(path, model.folder) and not any(_is_inside(path, f) for f in inner)]
    artifact = _far_artifact(model)
    far = [path for path in changed if artifact is not None and _is_inside(path, artifact)]
    given = [
        path
        for folder in _folders_of_defaults(model)
        for path in changed
        if path.name.endswith(SUFFIXES) and _is_inside(path, folder) and not any(_is_inside(path, f) for f in others)
    ]
    return sorted({*own, *far, *given})


def _folders_of_defaults(model: ModelSettings) -> set[Path]:
    """Return the folders of defaults that give a model a class: its runtime, or codecs."""
    return {implementation_folder(model), codecs_folder(model)} - {model.folder.absolute()}


def _far_artifact(model: ModelSettings) -> Path | None:
    """Return the model's artifact where it is outside of the model's folder, by `..` or by a link; else None."""
    artifact = model.artifact_root.resolve()
    return None if _is_inside(artifact, model.folder.resolve()) else artifact


def _is_touched(failed: FailedModel, changed: Collection[Path]) -> bool:
    """Return whether the broken settings are among the changed files."""
    return any(path.as_posix().endswith("/" + source) for path in changed for source in failed.source.split(" and "))


def _is_inside(path: Path, folder: Path) -> bool:
    return path == folder or folder in path.parents


def _said(causes: list[Path], folder: Path) -> str:
    """Return what changed, in a few words."""
    if not causes:
        return "Its settings have changed"
    # Code and settings say more than what lies around.
    first = min(causes, key=lambda path: (path.suffix != ".py", path.name != FILE))
    rest = f" and {len(causes) - 1} more" if len(causes) > 1 else ""
    named = os.path.relpath(first, folder.parent)
    return f"{named}{rest} {'has' if len(causes) == 1 else 'have'} changed"


def _reason(error: LoadFailed, settings: ModelSettings) -> str:
    """Return why a load failed, with the line of the model's own code, or that of its defaults, where there is one."""
    sentence = str(error).partition("could not be loaded: ")[2] or str(error)
    cause = error.__cause__
    if cause is None or isinstance(cause, SyntaxError):  # which says its place itself
        return sentence
    for folder in (settings.folder, *_folders_of_defaults(settings)):
        own = [frame for frame in traceback.extract_tb(cause.__traceback__) if _is_inside(Path(frame.filename), folder)]
        if own:
            return f"{sentence} ({Path(own[-1].filename).relative_to(folder)}, line {own[-1].lineno})"
    return sentence
