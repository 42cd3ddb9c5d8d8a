"""Reloader: a thread that finds edits; models are loaded again in this worker, packages in new workers."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from srv.discovery import PluginBroken
from srv.errors import LoadFailed, SettingsError
from srv.model_settings import ModelKey
from srv.models.registry import ModelState
from srv.serve.reloading.files import Area, Watcher
from srv.serve.reloading.models import WatchedModels
from srv.serve.reloading.packages import SUFFIXES, Packages
from srv.serve.reloading.reloadable_server import ReloadableServer
from srv.settings import ServerSettings, read_server_settings
from srv.settings.models import FILE as MODEL_FILE
from srv.settings.reading import FILE

log = logging.getLogger("srv.reload")

#: Seconds between two looks; and a look may take at most this part of the time, however many files there are.
_PAUSE, _SHARE = 0.3, 0.05
#: Seconds that the thread has to end when its worker does.
_TO_END = 1.0


class Lost(LoadFailed):
    """A model that served before an edit does not serve after it."""

    def __init__(self, title: str, reason: str) -> None:
        super().__init__(f"Model '{title}' could not be loaded: {reason}")


class Reloader:
    """Finds edits in one worker. Made before its models are loaded, so that no edit is missed, and started after that.

    A change of a model's folder loads that model again, here. A change of a package that is being developed asks for
    new workers with `renew`. A change of the server's settings is told.
    """

    def __init__(
        self, server: ReloadableServer, *, renew: Callable[[], None], tell: Callable[[Sequence[ModelKey]], None]
    ) -> None:
        self._server = server
        # Read once, because a model may change the current directory.
        self._current = Path.cwd()
        self._folder = server.settings.folder.absolute()
        self._renew = renew
        self._tell = tell
        self._models = WatchedModels(server)
        self._packages = Packages(server.plugins)
        self._settings = self._read_settings()
        self._watcher = Watcher(self._areas())
        self._pause = _PAUSE
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="srv-reload", daemon=True)

    def start(self) -> None:
        """Start the thread. Called when the models are loaded."""
        self._tell(self._models.serving())
        log.info("Watching %s: what is edited is taken in.", self._server.settings.folder)
        self._thread.start()

    def end(self) -> None:
        """Stop looking. May be called in a signal handler."""
        self._ends.set()

    def ended(self) -> bool:
        """Return whether the thread has ended, waiting a moment for it."""
        if self._thread.ident is not None:
            self._thread.join(_TO_END)
        return not self._thread.is_alive() and not self._models.is_loading()

    def check(self, served: Collection[ModelKey]) -> None:
        """Check that this worker can replace one that served these models. Raises PluginBroken or Lost."""
        broken = self._packages.broken()
        if broken is not None:
            raise PluginBroken(broken)
        for model in self._server.registry.models():
            if (model.name, model.version) in served and model.state is not ModelState.READY:
                raise Lost(model.title, model.reason)

    def look(self) -> None:
        """Look once, and act on the changes."""
        began = time.monotonic()
        self._watcher.watch(self._areas())
        changed = self._watcher.look()
        self._pause = max(_PAUSE, (time.monotonic() - began) / _SHARE)
        if changed:
            self._act(changed)

    def _run(self) -> None:
        while not self._ends.wait(self._pause):
            try:
                self.look()
            except BaseException:
                log.exception("What was edited could not be taken in.")

    def _areas(self) -> Iterator[Area]:
        yield from self._models.areas()
        yield from self._packages.areas()

    def _act(self, changed: Collection[Path]) -> None:
        if self._folder / FILE in changed:
            self._tell_settings()
        sources = self._packages.of(changed)
        if sources:
            log.info("%s has changed, and new workers read it.", os.path.relpath(min(sources), self._current))
            self._renew()
        self._models.follow(
            set(changed) - sources,
            prepare=lambda: self._watcher.watch(self._areas()),
            loaded=lambda folder: self._watcher.overlook(folder, but=(*SUFFIXES, MODEL_FILE, FILE)),
        )
        self._tell(self._models.serving())

    def _read_settings(self) -> ServerSettings | None:
        try:
            sections = self._server.plugins.sections()
            return read_server_settings(self._folder, plugin_sections=sections)
        except SettingsError as error:
            log.error("The server goes on as it was started: %s", error)  # noqa: TRY400  a sentence needs no traceback
            return None

    def _tell_settings(self) -> None:
        before, now = self._settings, self._read_settings()
        if now is None:
            return
        self._settings = now
        changed = _changed_keys(before, now)
        if changed:
            log.warning(
                "%s has changed (%s), and the server goes by what it said at the start. Stop the server and start it again.",
                self._server.settings.folder / FILE,
                ", ".join(changed),
            )


def _changed_keys(before: ServerSettings | None, now: ServerSettings) -> list[str]:
    """Return the keys that the file changes; what follows from other settings, or from the machine, is not its word."""
    if before is None:
        return []
    said = {"sections", *_keys_of_file(before), *_keys_of_file(now)}
    return [name for name in now.__struct_fields__ if name in said and getattr(before, name) != getattr(now, name)]


def _keys_of_file(settings: ServerSettings) -> set[str]:
    return {key.partition(".")[0] for key, origin in settings.origins.items() if Path(origin).name == FILE}
