"""`srv start` itself: holds the port and the run directory, runs gunicorn's master, and has the last word."""

from __future__ import annotations

import gc
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from srv import logs
from srv.errors import SrvError
from srv.serve.application import Application, Assemble, Assembled
from srv.serve.arbiter import Master
from srv.serve.certificate import check_certificate
from srv.serve.cores import share_cores
from srv.serve.endings import end_quietly, hear_endings, ignore_endings, put_off_endings
from srv.serve.listening import Held, hold, listen
from srv.serve.reports import Reports
from srv.serve.rundir import RunDirectory
from srv.settings import ServerSettings

if TYPE_CHECKING:
    from srv.discovery import Plugins

log = logging.getLogger("srv.serve")

#: What a gunicorn started before this process may have left in the environment.
_GUNICORNS_OWN = ("GUNICORN_PID", "GUNICORN_FD", "GUNICORN_CMD_ARGS")


def serve(
    settings: ServerSettings,
    plugins: Plugins | None = None,
    *,
    assemble: Assemble | None = None,
    reload: bool = False,
) -> int:
    """Serve until a signal ends it, and give the exit code, 0. With `reload` edits are taken in meanwhile.

    Raises SrvError where the server could not start: a port that is taken, a model that cannot be loaded. To be called
    in a process's main thread, before anything of it imports numpy or starts a thread: workers are forked from it.
    """
    began = time.monotonic()
    end_quietly()
    for name in _GUNICORNS_OWN:
        os.environ.pop(name, None)
    logs.configure(level=settings.log_level, form=settings.log_format, access_log=settings.access_log)
    found = plugins or _discovered(settings)
    for note in (*settings.notes, *found.unmatched()):
        log.warning("%s", note)
    if settings.sections:
        from srv.trial.sections import check_sections  # here, because most servers have none

        check_sections(settings, plugins)
    share_cores(settings.workers)
    put_off_endings()  # until the master has taken over
    with _afterwards(hear_endings):
        failure = _serve(settings, found, assemble, began, reload=reload)
    if failure is not None:
        raise failure
    return 0


def _serve(
    settings: ServerSettings, plugins: Plugins, assemble: Assemble | None, began: float, *, reload: bool
) -> SrvError | None:
    """Serve, and give what kept the server from its first ready, if anything did."""
    if settings.tls is not None:
        check_certificate(settings.tls)
    scheme = "http" if settings.tls is None else "https"
    listener = listen(settings.host, settings.http_port, backlog=settings.backlog, scheme=scheme)
    with _afterwards(listener.close):
        log.info("listening on %s", listener.url)
        held = _held_for_grpc(settings)
        address = held.address if held is not None else None
        directory = RunDirectory()
        with _afterwards(directory.remove):
            application = Application(
                settings,
                plugins,
                assemble=assemble or partial(_assemble, directory),
                reports=Reports(),
                directory=directory,
                grpc_address=address,
                reload=reload,
            )
            master = Master(
                application,
                listener,
                ready=lambda models: _announce(settings, listener.url, address, models, began),
            )
            _run(master)
    return master.failure


def _run(master: Master) -> None:
    launcher = os.getpid()
    # What is here by now stays to the end, and the collector writes into all that it looks at: frozen, the memory that
    # workers inherit stays one.
    gc.freeze()
    gc.enable()
    try:
        master.run()
    except SystemExit:
        if os.getpid() != launcher:
            raise  # a worker, at its end
    ignore_endings()


def _held_for_grpc(settings: ServerSettings) -> Held | None:
    """The port of gRPC, which is this process's as long as it lives, or None where there is no gRPC."""
    if settings.grpc_port is None:
        return None
    host = settings.host
    if settings.is_on_unix_socket():
        if settings.origin("grpc_port") == "default":
            return None  # because whoever serves on a Unix socket has not asked for a port
        host = "127.0.0.1"
    held = hold(host, settings.grpc_port)
    # grpcio's core writes lines of its own to stderr, in no form of the log's, and as errors what srv means.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    log.info("listening on %s for gRPC", held.address)
    return held


def _announce(settings: ServerSettings, url: str, grpc: str | None, models: str, began: float) -> None:
    workers = "1 worker" if settings.workers == 1 else f"{settings.workers} workers"
    if grpc is not None:
        workers += f", gRPC on {grpc}"
    logs.announce(
        log, f"serving on {url}: {models or 'no model'} ({workers}, ready after {time.monotonic() - began:.1f} s)"
    )


def _discovered(settings: ServerSettings) -> Plugins:
    from srv.discovery import discover

    chosen = settings.plugins
    return discover(disable=chosen.disable, only=chosen.only, prefer=chosen.prefer)


def _assemble(directory: RunDirectory, settings: ServerSettings, plugins: Plugins) -> Assembled:
    from srv.serve.assembly import assemble

    return assemble(settings, plugins=plugins, directory=directory)


@contextmanager
def _afterwards(clean: Callable[[], None]) -> Iterator[None]:
    """Clean up at the end, but not at the end of a worker, which leaves by the same way."""
    launcher = os.getpid()
    try:
        yield
    finally:
        if os.getpid() == launcher:
            clean()
