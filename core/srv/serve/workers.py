"""What every worker of srv does, whatever speaks HTTP in it: load beside serving, report, leave in order."""

from __future__ import annotations

import faulthandler
import gc
import importlib
import logging
import os
import select
import signal
import sys
import threading
import time
from types import FrameType
from typing import TYPE_CHECKING, Any

from srv.errors import SrvError, Stopped, said_by
from srv.planes.limits import Limit
from srv.processes.thread_dumps import ThreadDump
from srv.safe_logging import log_descriptors
from srv.serve.closing import close_within, end_process
from srv.serve.control_socket import ControlThread
from srv.serve.forked_children import ForkedChildren, addresses_of, end_children
from srv.serve.gunicorn_internals import Worker
from srv.serve.main_thread_loads import work
from srv.serve.models_to_load import newest_generation, state_to_load
from srv.serve.signals import HEARD_BY_WORKERS, RETIRE, SHOW
from srv.settings import ServerSettings

if TYPE_CHECKING:
    from srv.grpc.server import Certificate, GrpcServer
    from srv.serve.gunicorn_app import GunicornApp
    from srv.serve.model_sync import Follower
    from srv.serve.reloading.reloader import Reloader
    from srv.serve.worker_health import Face, WorkerHealth

log = logging.getLogger(__name__)

#: Where each worker class lives: imported when it is chosen.
_CLASSES = {
    "gthread": "srv.serve.gthread:GthreadWorker",
    "srv": "srv.serve.http.worker:SrvWorker",
}

#: The signals with a meaning for workers or for the master, which models must not handle.
_OURS = (*HEARD_BY_WORKERS, signal.SIGINT, signal.SIGHUP)

#: Seconds that unloading gets at least, also while a load is still running, which nothing can stop.
_LEAST_TO_UNLOAD = 1.0
#: Seconds between two looks at the gate.
_GATE_BEAT = 0.02
#: Seconds that gRPC's calls get beyond graceful_timeout to be cancelled, and between two beats meanwhile.
_TO_CANCEL, _LEAVING_BEAT = 1.0, 0.2


def worker_class(settings: ServerSettings) -> type[Worker]:
    """The class that speaks HTTP, with what every worker does in front of it."""
    chosen = settings.worker_class
    if chosen == "srv" and not hasattr(select, "epoll"):
        log.warning("srv's own HTTP worker needs epoll, which this system does not have: gthread serves in its place.")
        chosen = "gthread"
    module, _, name = _CLASSES[chosen].partition(":")
    speaks_http = getattr(importlib.import_module(module), name)
    return type(name, (Supervised, speaks_http), {})


class Supervised(Worker):  # type: ignore[misc]  # gunicorn has no types
    """Mixed in before the class that speaks HTTP. `handle_exit` of that class stops accepting and finishes."""

    app: GunicornApp

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        #: Set by the master before the fork: this worker's cohort reads the repository, and does not take the state.
        self.reads_repository = True
        #: Set by the master as well: which workers read code together.
        self.cohort = 0
        #: Set by the master as well: clients have others to go to until this worker's models are loaded.
        self.others_serve = False
        # The class that speaks HTTP must not leave by itself: a successor is started first.
        self._answers_until_spent: int = self.max_requests
        self.max_requests: int = sys.maxsize
        self._spent = False
        self._leaving = False
        self._leaves_since = time.monotonic()
        self._stopping = threading.Event()
        self._growing = threading.Lock()  # because models may load at the same time
        self._most_threads = 0
        self._loader: threading.Thread | None = None
        self._control: ControlThread | None = None
        self._grpc: GrpcServer | None = None
        self._reloader: Reloader | None = None
        #: Read by the launcher.
        self.dump = ThreadDump()
        #: Both of both faces together.
        self.streams = Limit(self.app.settings.max_streams)
        self.in_flight = Limit(self.app.settings.max_inflight_bytes)
        self._doing = "starting"
        self._runs = False
        self._serves = threading.Event()
        self._follower: Follower | None = None
        self._health: WorkerHealth | None = None

    # -- from the fork to serving --------------------------------------------------------------------------------------

    def init_process(self) -> None:
        """Serve until told to stop, then leave in order. A worker that cannot serve says why, and ends."""
        self.app.status.only_write()
        self.app.release_grpc_port()
        self.app.supervisor.release()
        gc.disable()  # until `begin`, because imports make next to no garbage
        try:
            super().init_process()
        except Exception as error:  # noqa: BLE001  it is reported to the launcher, which has the last word
            self.app.status.failed(self._sentence(error, "serving over HTTP" if self._runs else self._doing))
            raise SystemExit(1) from None
        finally:
            self._leave()

    def init_signals(self) -> None:
        """As gunicorn has it, but the terminal's signals are the master's, and a fatal one shows where it struck."""
        super().init_signals()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGABRT, signal.SIG_DFL)
        signal.signal(RETIRE, self.handle_retire)
        faulthandler.enable(self.dump, all_threads=False)
        faulthandler.register(SHOW, self.dump, all_threads=True)
        ForkedChildren(
            signals=HEARD_BY_WORKERS,
            addresses=lambda: addresses_of(self.sockets, self.app.grpc_address),
            folder=self.app.directory.path,
            keep=(0, 1, 2, *log_descriptors()),
            forked=self._disown,
        ).register()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD_BY_WORKERS)

    def _disown(self) -> None:
        """Keep a child that a model has forked from going on as a worker."""
        faulthandler.unregister(SHOW)
        if self.app.assembled is not None:
            self.app.assembled.event_loop.forked = True
            self.app.assembled.running.forked()
            self.app.assembled.leases.forked()

    def run(self) -> None:
        """Serve over HTTP, beside whatever the loader does."""
        self._runs = True
        super().run()

    def serves(self) -> None:
        """Note that clients can be answered."""
        self._serves.set()

    def begin(self) -> None:
        """Register, and load the models in a thread; called when the app stands, before the first request."""
        assert self.app.assembled is not None
        self._follower = self.app.assembled.among(self.app.directory, self.pid)
        self._control = ControlThread(self.app.directory.register(self.pid), self._tell)
        self._control.start()
        self.app.assembled.leases.cohort = self.cohort
        self._health = self.app.assembled.health(self._faces, self.leader_looked, self.app.status)
        self.held = self.others_serve
        if not self.held:
            self._serve_grpc()
        self.app.assembled.parts.faces["rest"] = self.waiting
        self.app.assembled.parts.threads = self._faces
        self.app.assembled.parts.worker = self
        self.app.assembled.grow = self._grow
        self.app.assembled.main_thread.wake = self.wake
        if self.app.takes_edits:
            self._reloader = self.app.assembled.reloader(self._renew, self.app.directory.tell_served)
        gc.freeze()  # what is imported by now stays to the end: the collector need not look at it again and again
        gc.enable()
        self._loader = threading.Thread(target=self._load, name="srv-loader", daemon=True)
        self.notify()  # from here on it is late when it gives no sign, also where a model never lets it begin
        self._loader.start()

    def notify(self) -> None:
        """Show that this process lives, unless its threads do not, and run the calls that wait for its main thread."""
        if self._health is None or self._leaving or self._health.check(time.monotonic()):
            super().notify()
        if os.getppid() != self.ppid and not self._leaving:
            os.kill(self.pid, RETIRE)  # because the launcher was killed, and its ports are wanted
        if self.app.assembled is not None and self.app.assembled.main_thread.has_work():
            before = self._stopping.is_set()
            work(self.app.assembled.main_thread, beat=super().notify, ours=_OURS, shows=SHOW, dump=self.dump)
            if self._stopping.is_set() and not before:
                raise Stopped(0)  # because the signal came during a load, whose code caught the first one

    def _faces(self) -> dict[str, Face]:
        """Return the threads of each face that serves already."""
        faces = {"HTTP": self.face, "gRPC": self._grpc}
        return {name: face for name, face in faces.items() if face is not None}

    def _serve_grpc(self) -> None:
        """Start the other face."""
        if self.app.grpc_address is None:
            return
        assert self.app.assembled is not None
        self._grpc = self.app.assembled.serve_grpc(
            self.app.grpc_address, self._count_call, self.streams, self.in_flight, self._certificate()
        )
        self._grpc.grow(self._most_threads)
        self.app.assembled.parts.faces["grpc"] = self._grpc.waiting

    def _certificate(self) -> Certificate | None:
        pair = self.app.pair
        return None if pair is None else (pair.certificate, pair.key, pair.client_ca)

    def _open(self) -> None:
        """Let clients in, on both faces, who had to go to other workers so far."""
        if not self._leaving:
            if self._grpc is None:
                self._serve_grpc()
            self.let_in()

    def _grow(self, threads: int) -> None:
        """Have at least so many threads on each face."""
        with self._growing:
            self._most_threads = max(self._most_threads, threads)
            self.grow(threads)
            if self._grpc is not None:
                self._grpc.grow(threads)

    def _count_call(self) -> None:
        self.nr += 1
        self.answered()

    def _load(self) -> None:
        wait = 1.0
        while not self._stopping.is_set():
            try:
                self._load_once()
            except BaseException as error:  # noqa: BLE001  also sys.exit() in a model's load must not end this thread unheard
                if self._leaving:
                    return
                self.app.status.failed(self._sentence(error, self._doing))
            else:
                return
            self._stopping.wait(wait)
            wait = min(2 * wait, 60.0)

    def _load_once(self) -> None:
        assembled, directory, follower = self.app.assembled, self.app.directory, self._follower
        assert assembled is not None
        assert follower is not None
        abreast = False
        while not abreast:
            state = state_to_load(
                directory,
                assembled.wanted,
                reads_repository=self.reads_repository,
                reloads=self._reloader is not None,
            )
            models = state.models or ()
            assembled.load_models(self._does, models, before_ready=self.app.status.loaded)
            assembled.modelplane.keep_only(models, state.unloaded)
            abreast = follower.begin(
                state.generation, newest_generation(directory, reads_repository=self.reads_repository)
            )
        if self._reloader is not None and self.reads_repository:
            served = directory.served()
            if served is not None:
                self._reloader.check(served)
        self._wait_for_gate()
        self._does("opening its ports")
        self._open()
        while not self._serves.wait(_GATE_BEAT) and not self._stopping.is_set():
            pass
        self.app.status.ready(assembled.serving())
        if self._reloader is not None:
            self._reloader.start()

    def _wait_for_gate(self) -> None:
        """Wait, where clients have not been let in, until the worker that takes them can answer."""
        if self.held and not self.app.gate.is_open():
            self._does("waiting for the first worker")
            while not self.app.gate.is_open() and not self._stopping.wait(_GATE_BEAT):
                pass

    def _renew(self) -> None:
        """Ask for workers that read code anew."""
        if os.getppid() == self.ppid:
            os.kill(self.ppid, signal.SIGHUP)

    def _does(self, what: str) -> None:
        self._doing = what
        self.app.status.doing(what)

    def _sentence(self, error: BaseException, doing: str) -> str:
        if isinstance(error, SrvError):
            return str(error)
        log.error("A worker failed while %s.", doing, exc_info=error)
        return f"A worker failed while {doing}: {type(error).__name__}: {said_by(error)}".rstrip(": ") + "."

    def _tell(self, question: Any) -> dict[str, Any]:
        """Answer on the control socket."""
        assert self._follower is not None
        match question:
            case {"ask": "state"}:
                return {"pid": self.pid, "generation": self._follower.generation}
            case {"ask": "figures"} if self.app.assembled is not None:
                return self.app.assembled.running.own_figures()
            case {
                "ask": "follow",
                "order": {"do": "load" | "unload", "name": str()} as order,
                "generation": int(given),
            }:
                reason = self._follower.hear(order, given)
                return {"done": True} if reason is None else {"failed": reason}
        return {"error": "The questions are 'state', 'figures' and 'follow'."}

    # -- from serving to the end ---------------------------------------------------------------------------------------

    def answered(self) -> None:
        """Called by the class that speaks HTTP for each request; asks for a successor after max_requests."""
        if not self._spent and self.nr >= self._answers_until_spent:
            self._spent = True
            self.app.status.spent()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM: not ready any more, and after `drain_delay` finish what is there and go."""
        if self._leaving:
            return
        self._go()
        if self.app.settings.drain_delay > 0:
            timer = threading.Timer(self.app.settings.drain_delay, os.kill, (self.pid, RETIRE))
            timer.daemon = True
            timer.start()
        else:
            self._finish(sig, frame)

    def handle_retire(self, sig: int, frame: FrameType | None) -> None:
        """Finish what is there and go."""
        self._go()
        self._finish(sig, frame)

    def _finish(self, sig: int, frame: FrameType | None) -> None:
        """Have both faces finish what is there, at the same time."""
        if self._grpc is not None:
            self._grpc.stop(self.app.settings.graceful_timeout)
        super().handle_exit(sig, frame)
        if self.app.assembled is not None:
            self.app.assembled.main_thread.end_loads()  # the last step, because it may raise into a load

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  gunicorn calls it so
        """Go, whatever is there; said while leaving, it changes nothing."""
        if not self._stopping.is_set():
            self._go()
            self._stopping.set()
            raise Stopped(0)

    def _go(self) -> None:
        if not self._leaving:
            self._leaves_since = time.monotonic()
        self._leaving = True
        if self._reloader is not None:
            self._reloader.end()
        if self.app.assembled is not None:
            self.app.assembled.drain()

    def _leave_grpc(self) -> None:
        """Wait for the last calls, which `_finish` has given a time; where nobody has, all of them end now."""
        if self._grpc is None:
            return
        self._grpc.stop(0.0)
        until = time.monotonic() + self.app.settings.graceful_timeout + _TO_CANCEL
        while not self._grpc.stopped(_LEAVING_BEAT) and time.monotonic() < until:
            self.notify()

    def _time_to_unload(self) -> float:
        """Return for how many seconds models may unload: what the last requests have left of graceful_timeout."""
        return max(_LEAST_TO_UNLOAD, self._leaves_since + self.app.settings.graceful_timeout - time.monotonic())

    def _leave(self) -> None:
        """Unload, and end also where a predict or a load hangs: the master would have to kill this process else."""
        self._leave_grpc()
        self._stopping.set()
        loading = self._loader is not None and self._loader.is_alive()
        if self._reloader is not None:
            self._reloader.end()
            loading = loading or not self._reloader.ended()
        if self._follower is not None:
            loading = self._follower.end() or loading
        if self.app.assembled is not None:
            seconds = _LEAST_TO_UNLOAD if loading else self._time_to_unload()
            assembled = self.app.assembled
            close_within(seconds, assembled.close, main_thread=assembled.main_thread, beat=self.notify)
        self.app.directory.forget(self.pid)
        if self._control is not None:
            self._control.close()
        if os.getppid() != self.ppid:
            self.app.directory.remove()
        end_children()
        if loading or any(
            not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()
        ):
            end_process()
