"""Recognisers: the runtimes' own answers to whether they can serve a file, where file names do not decide."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, cast

from srv.discovery.errors import PluginError
from srv.discovery.plugin import PluginKind
from srv.errors import Stopped, said_by

if TYPE_CHECKING:
    from srv.discovery.plugins import Plugins
    from srv.runtime import Runtime

log = logging.getLogger("srv.plugins")


class Recognisers:
    """Asks installed runtimes for `Runtime.recognise`. One that cannot be asked refuses the file, and the log says why."""

    def __init__(self, plugins: Plugins) -> None:
        self._plugins = plugins
        #: What was logged, because the folders are read again and again.
        self._told: set[str] = set()

    def refusal(self, runtime: str, path: Path) -> str:
        """Return how a runtime refuses a file, as in "it says no"; empty where it says that it can serve it."""
        try:
            # Loaded under that kind, and so checked.
            asked = cast("type[Runtime]", self._plugins.load(PluginKind.RUNTIME, runtime))
        except PluginError as error:
            self._tell(f"Runtime '{runtime}' could not be asked whether it can serve {path}: {error}")
            return "it cannot be imported"
        try:
            answer: object = asked.recognise(path)
        except (KeyboardInterrupt, Stopped):
            raise
        except BaseException as error:  # noqa: BLE001 - it is a stranger's code, and may even call sys.exit()
            kind = type(error).__name__
            self._tell(
                f"Runtime '{runtime}' raised {kind} when asked whether it can serve {path}: {said_by(error)}", error
            )
            return f"it raised {kind} when asked"
        if isinstance(answer, bool):
            return "" if answer else "it says no"
        kind = type(answer).__name__
        self._tell(
            f"Runtime '{runtime}' answered with a {kind} when asked whether it can serve {path}; recognise is bool."
        )
        return f"it answered with a {kind}, not with True or False"

    def _tell(self, sentence: str, error: BaseException | None = None) -> None:
        if sentence not in self._told:
            self._told.add(sentence)
            log.warning("%s", sentence, exc_info=error)
