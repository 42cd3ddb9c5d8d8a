"""Recognisers: the runtimes' own answers to whether they can serve a file, where file names do not decide."""

from __future__ import annotations

import logging
import stat
from pathlib import Path
from typing import TYPE_CHECKING, cast

from srv.discovery.errors import PluginError
from srv.discovery.plugin import PluginKind
from srv.errors import SrvError, Stopped, quoted, said_by

if TYPE_CHECKING:
    from srv.discovery.plugins import Plugins
    from srv.runtime import Runtime

log = logging.getLogger("srv.plugins")
#: How many bytes of a refused file are shown, which tell a page of HTML or a pointer of Git LFS from a model.
_SHOWN = 24
_IS_FOLDER = "it is a folder, not a file"


class Recognisers:
    """Asks installed runtimes for `Runtime.recognise`. One that cannot be asked refuses the file, and the log says why."""

    def __init__(self, plugins: Plugins) -> None:
        self._plugins = plugins
        #: What was logged, because the folders are read again and again.
        self._told: set[str] = set()

    def refusal(self, runtime: str, path: Path) -> str:
        """Return how a runtime refuses a file, as in "it says no: it is empty"; nothing where it says that it can serve it."""
        try:
            # Loaded under that kind, and so checked.
            asked = cast("type[Runtime]", self._plugins.load(PluginKind.RUNTIME, runtime))
        except PluginError as error:
            self._tell(f"Runtime '{runtime}' could not be asked whether it can serve {path}: {error}")
            return "it cannot be imported"
        special = _special(path)
        if special:  # which nobody could read without waiting, perhaps for ever
            return special
        try:
            answer: object = asked.recognise(path)
        except (KeyboardInterrupt, Stopped):
            raise
        except OSError as error:  # the file's fault, and no bug of the runtime's
            return unreadable(path, error)
        except SrvError as error:
            return f"it says no: {said_by(error).rstrip('.')}"
        except BaseException as error:  # noqa: BLE001 - it is a stranger's code, and may even call sys.exit()
            if path.is_dir():
                return _IS_FOLDER
            kind = type(error).__name__
            self._tell(
                f"Runtime '{runtime}' raised {kind} when asked whether it can serve {path}: {said_by(error)}", error
            )
            return f"it raised {kind} when asked"
        if isinstance(answer, bool):
            return "" if answer else _no(path)
        kind = type(answer).__name__
        self._tell(
            f"Runtime '{runtime}' answered with a {kind} when asked whether it can serve {path}; recognise is bool."
        )
        return f"it answered with a {kind}, not with True or False"

    def _tell(self, sentence: str, error: BaseException | None = None) -> None:
        if sentence not in self._told:
            self._told.add(sentence)
            log.warning("%s", sentence, exc_info=error)


def unreadable(path: Path, error: OSError) -> str:
    """Return why a file cannot be read, where the attempt has raised `error`."""
    if path.is_dir():
        return _IS_FOLDER
    return f"it cannot be read ({error.strerror or type(error).__name__})"


def _special(path: Path) -> str:
    """Return what a path is that is neither a file nor a folder, such as a named pipe; nothing for those, or if nobody knows."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return ""
    return "" if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else "it is neither a file nor a folder"


def _no(path: Path) -> str:
    """Return the refusal of a runtime that gives no reason, with what everybody can see of the file."""
    if path.is_dir():
        return _IS_FOLDER
    try:
        with path.open("rb") as stream:
            head = stream.read(_SHOWN)
    except OSError as error:
        return unreadable(path, error)
    if not head:
        return "it is empty"
    return f"it says no; the file begins with {quoted(head.decode('ascii', 'replace'))}"
