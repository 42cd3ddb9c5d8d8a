"""gunicorn's own master, for a gunicorn whose internals are not those that srv's master is made for."""

from __future__ import annotations

import logging
import os

from srv.errors import SrvError
from srv.serve.gunicorn_app import GunicornApp
from srv.serve.gunicorn_internals import ARBITER_LACKS, __version__
from srv.serve.listening import Listener
from srv.serve.signals import unblock_stop_signals

log = logging.getLogger("srv.serve")


class PlainMaster:
    """Supervises the workers by gunicorn's documented settings and hooks.

    Nothing tells when the server is ready, or why its first load has failed: each worker serves what it can load, and tries
    again. A reload replaces workers as gunicorn does it.
    """

    failure: SrvError | None = None

    def __init__(self, app: GunicornApp, listener: Listener) -> None:
        self._app = app
        app.status.never_wait()  # because nobody reads what workers report
        app.configure(
            {
                "bind": f"fd://{os.dup(listener.socket.fileno())}",
                "child_exit": lambda _, worker: app.directory.forget(worker.pid),
                "on_reload": lambda _: app.directory.arrive(),
            }
        )

    def run(self) -> None:
        """Serve until a signal ends it."""
        log.warning(
            "gunicorn %s has no %s: its own master supervises the workers, and says less. Install a version that srv's "
            "requirements admit.",
            __version__,
            ", ".join(ARBITER_LACKS),
        )
        unblock_stop_signals()
        self._app.run()

    def stop(self, *, graceful: bool) -> None:
        """Do nothing: gunicorn's master has stopped its workers when `run` ends."""
