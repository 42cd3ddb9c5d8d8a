"""The launcher, which is `srv start` itself: binds the ports, runs gunicorn's master, prints why a start failed."""

from __future__ import annotations

import gc
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from srv import logs
from srv.cores import share_cores
from srv.errors import SrvError, said_by
from srv.serve.arbiter import Master
from srv.serve.gunicorn_app import Assemble, GunicornApp, WorkerServer
from srv.serve.gunicorn_internals import ARBITER_LACKS
from srv.serve.listening import AddressTaken, PortReservation, listen, reserve_port
from srv.serve.open_files import check_open_files
from srv.serve.plain_master import PlainMaster
from srv.serve.run_directory import RunDirectory
from srv.serve.run_folder import outliving_servers
from srv.serve.signals import block_stop_signals, exit_quietly, ignore_stop_signals, unblock_stop_signals
from srv.serve.supervisor_process import SupervisorProcess
from srv.serve.tls import read_pair
from srv.serve.worker_status import StatusPipe
from srv.serve.workers import worker_class
from srv.settings import ServerSettings, TlsSettings

if TYPE_CHECKING:
    from srv.discovery import Plugins

log = logging.getLogger("srv.serve")

Bound = TypeVar("Bound")

#: Seconds that workers whose launcher was killed have to let go of their ports, and between two tries to bind one.
_TO_OUTLIVE, _BETWEEN_TRIES = 10.0, 0.05
#: What a gunicorn started before this process may have left in the environment.
_GUNICORNS_OWN = ("GUNICORN_PID", "GUNICORN_FD", "GUNICORN_CMD_ARGS")


class LauncherFailed(SrvError):
    """The launcher cannot supervise its workers any more."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The server has ended because its launcher failed: {why}.")


def serve(
    settings: ServerSettings,
    plugins: Plugins | None = None,
    *,
    assemble: Assemble | None = None,
    reload: bool = False,
) -> int:
    """Serve until a signal asks for the end, and return the exit code, 0. With `reload` edits are loaded meanwhile.

    Raises SrvError where the server could not start: a port that is taken, a model that cannot be loaded. To be called
    in a process's main thread, before anything of it imports numpy or starts a thread: workers are forked from it.
    """
    began = time.monotonic()
    settings = settings.with_absolute_paths()  # because a model may change the current folder of its process
    exit_quietly()
    for name in _GUNICORNS_OWN:
        os.environ.pop(name, None)
    logs.configure(level=settings.log_level, form=settings.log_format, access_log=settings.access_log)
    found = plugins or _discovered(settings)
    for note in (*settings.notes, *found.unmatched(), *found.left_out(settings.sections)):
        log.warning("%s", note)
    found.require(settings.sections)
    found.check_required()  # as far as metadata tells; workers check again when they have registered the plugins
    if settings.sections:
        from srv.probe.sections import check_sections  # here, because most servers have none

        check_sections(settings, found)
    check_open_files(settings.max_connections)
    share_cores(settings.workers)
    block_stop_signals()  # until the master has taken over
    with _afterwards(unblock_stop_signals):
        failure = _serve(settings, found, assemble, began, reload=reload)
    if failure is not None:
        raise failure
    return 0


def _serve(
    settings: ServerSettings, plugins: Plugins, assemble: Assemble | None, began: float, *, reload: bool
) -> SrvError | None:
    """Serve, and return why the server never became ready, or why it failed; None where neither happened."""
    pair = read_pair(settings.tls) if settings.tls is not None else None
    scheme = "http" if settings.tls is None else "https"
    listener = _once_free(partial(listen, settings.host, settings.http_port, backlog=settings.backlog, scheme=scheme))
    with _afterwards(listener.close):
        log.info("listening on %s", listener.url)
        reservation = _reserved_for_grpc(settings)
        address = reservation.address if reservation is not None else None
        directory = RunDirectory()
        with _afterwards(directory.remove):
            supervisor = SupervisorProcess(level=settings.log_level, form=settings.log_format)
            application = GunicornApp(
                settings,
                plugins,
                worker_class=worker_class(settings),
                assemble=assemble or partial(_assemble, directory, None if ARBITER_LACKS else supervisor),
                status=StatusPipe(),
                directory=directory,
                grpc_port=reservation,
                pair=pair,
                reload=reload,
                supervisor=supervisor,
            )
            master: Master | PlainMaster
            if ARBITER_LACKS:
                master = PlainMaster(application, listener)
            else:
                ready = partial(_announce, settings, listener.url, address, began)
                master = Master(application, listener, ready=ready)
            _run(master)
    return master.failure


def _run(master: Master | PlainMaster) -> None:
    launcher = os.getpid()
    # What is here by now stays to the end, and the collector writes into all that it looks at: frozen, the memory that
    # workers inherit stays one.
    gc.freeze()
    gc.enable()
    try:
        master.run()
    except SystemExit as ended:
        if os.getpid() != launcher:
            raise  # a worker, at its end
        if ended.code not in (0, None) and master.failure is None:
            master.failure = LauncherFailed(f"it ended with {ended.code}")
    except Exception as error:
        if os.getpid() != launcher:
            raise
        log.exception("The launcher has failed.")
        master.stop(graceful=False)
        master.failure = LauncherFailed(f"{type(error).__name__}: {said_by(error)}".rstrip(": "))
    ignore_stop_signals()


def _reserved_for_grpc(settings: ServerSettings) -> PortReservation | None:
    """Reserve the port of gRPC for as long as this process lives. Return None where there is no gRPC."""
    if settings.grpc_port is None:
        return None
    host = settings.host
    if settings.is_on_unix_socket():
        if settings.origin("grpc_port") == "default":
            return None  # because whoever serves on a Unix socket has not asked for a port
        host = "127.0.0.1"
    reservation = _once_free(partial(reserve_port, host, settings.grpc_port))
    # grpcio's core writes lines of its own to stderr, in no form of the log's, and as errors what srv means.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    if settings.tls is not None:
        _secure_grpc(settings.tls)
    log.info("listening on %s for gRPC", reservation.address)
    return reservation


def _secure_grpc(tls: TlsSettings) -> None:
    """Have grpcio go by what `tls` says beside the certificate, as far as it can be told."""
    if tls.ciphers is not None:
        os.environ.setdefault("GRPC_SSL_CIPHER_SUITES", tls.ciphers)
    if tls.min_version != "1.2":
        log.warning("tls.min_version %s holds for HTTP; grpcio goes on to take TLS 1.2.", tls.min_version)


def _once_free(bind: Callable[[], Bound]) -> Bound:
    """Bind, waiting for workers that still hold the address because their launcher was killed a moment ago."""
    until = None
    while True:
        try:
            return bind()
        except AddressTaken:
            now = time.monotonic()
            if (until is None and not outliving_servers()) or now > (until or now):
                raise
            if until is None:
                log.warning(
                    "The workers of a server that was killed still listen there; waiting until they have ended."
                )
                until = now + _TO_OUTLIVE
            time.sleep(_BETWEEN_TRIES)


def _announce(settings: ServerSettings, url: str, grpc: str | None, began: float, models: str) -> None:
    workers = "1 worker" if settings.workers == 1 else f"{settings.workers} workers"
    if grpc is not None:
        workers += f", gRPC on {grpc}"
    logs.announce(
        log, f"serving on {url}: {models or 'no model'} ({workers}, ready after {time.monotonic() - began:.1f} s)"
    )


def _discovered(settings: ServerSettings) -> Plugins:
    from srv.discovery import discover

    chosen = settings.plugins
    return discover(disable=chosen.disable, only=chosen.only, prefer=chosen.prefer, optional=chosen.optional)


def _assemble(
    directory: RunDirectory, supervisor: SupervisorProcess | None, settings: ServerSettings, plugins: Plugins
) -> WorkerServer:
    from srv.serve.assembly import assemble

    reach = None if supervisor is None else supervisor.reach
    return assemble(settings, plugins=plugins, directory=directory, reach=reach)


@contextmanager
def _afterwards(clean: Callable[[], None]) -> Iterator[None]:
    """Clean up at the end of the block, but not in a worker, which leaves the block too."""
    launcher = os.getpid()
    try:
        yield
    finally:
        if os.getpid() == launcher:
            clean()
