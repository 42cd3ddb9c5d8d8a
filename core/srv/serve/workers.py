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

from gunicorn.workers.base import Worker
from msgspec.structs import replace

from srv.errors import SrvError
from srv.inflight import InFlight
from srv.serve.control import ControlThread
from srv.serve.rundir import State, Wanted
from srv.settings import ServerSettings
from srv.streams import StreamCount

if TYPE_CHECKING:
    from srv.grpc.server import GrpcServer
    from srv.serve.application import Application
    from srv.serve.following import Follower
    from srv.serve.reloading.reloader import Reloader

log = logging.getLogger(__name__)

#: Where each worker class lives: imported when it is chosen.
_CLASSES = {
    "gthread": "srv.serve.gthread:GthreadWorker",
    "srv": "srv.serve.http.worker:SrvWorker",
}

#: Blocked around a fork, so that a signal for a worker waits until the worker can hear it.
HEARD_BY_WORKERS = (signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGABRT)

#: Finish what is there and go, at once: another worker has taken this one's place.
RETIRE = signal.SIGUSR2

#: Show on stderr where each thread is, even where one holds the interpreter lock.
SHOW = signal.SIGUSR1

#: Seconds that unloading gets while a load is still running, which nothing can stop.
_UNLOAD_BESIDE_A_LOAD = 1.0
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

    app: Application

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        #: Set by the master before the fork: this worker's cohort reads the repository, and does not take the state.
        self.reads_repository = True
        #: Set by the master as well: clients have others to go to until this worker's models are loaded.
        self.others_serve = False
        # The class that speaks HTTP must not leave by itself: a successor is started first.
        self._answers_until_spent: int = self.max_requests
        self.max_requests: int = sys.maxsize
        self._spent = False
        self._leaving = False
        self._stopping = threading.Event()
        self._growing = threading.Lock()  # because models may load at the same time
        self._most_threads = 0
        self._loader: threading.Thread | None = None
        self._control: ControlThread | None = None
        self._grpc: GrpcServer | None = None
        self._reloader: Reloader | None = None
        #: Both of both faces together.
        self.streams = StreamCount(self.app.settings.max_streams)
        self.in_flight = InFlight(self.app.settings.max_inflight_bytes)
        self._doing = "starting"
        self._follower: Follower | None = None

    # -- from the fork to serving --------------------------------------------------------------------------------------

    def init_process(self) -> None:
        """Serve until told to stop, then leave in order."""
        self.app.reports.only_write()
        gc.disable()  # until `begin`, because imports make next to no garbage
        try:
            super().init_process()
        finally:
            self._leave()

    def init_signals(self) -> None:
        """As gunicorn has it, but the terminal's signals are the master's, and a fatal one shows where it struck."""
        super().init_signals()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGABRT, signal.SIG_DFL)
        signal.signal(RETIRE, self.handle_retire)
        faulthandler.enable(all_threads=False)
        faulthandler.register(SHOW, all_threads=True)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD_BY_WORKERS)

    def load_wsgi(self) -> None:
        """Assemble the app. A worker that cannot says why, and ends."""
        try:
            super().load_wsgi()
        except Exception as error:  # noqa: BLE001  it is reported to the master, which has the last word
            self.app.reports.failed(self._sentence(error))
            raise SystemExit(1) from None

    def begin(self) -> None:
        """Register, and load the models in a thread; called when the app stands, before the first request."""
        assert self.app.assembled is not None
        self._follower = self.app.assembled.among(self.app.directory, self.pid)
        self._control = ControlThread(self.app.directory.register(self.pid), self._tell)
        self._control.start()
        self.held = self.others_serve
        if not self.held:
            self._serve_grpc()
        self.app.assembled.running.faces["rest"] = self.waiting
        self.app.assembled.grow = self._grow
        if self.app.reload:
            self._reloader = self.app.assembled.reloader(self._renew, self.app.directory.tell_served)
        gc.freeze()  # what is imported by now stays to the end: the collector need not look at it again and again
        gc.enable()
        self._loader = threading.Thread(target=self._load, name="srv-loader", daemon=True)
        self.notify()  # from here on it is late when it gives no sign, also where a model never lets it begin
        self._loader.start()

    def _serve_grpc(self) -> None:
        """Start the other face. A worker that cannot says why, and ends."""
        if self.app.grpc_address is None:
            return
        assert self.app.assembled is not None
        try:
            self._grpc = self.app.assembled.serve_grpc(
                self.app.grpc_address, self._count_call, self.streams, self.in_flight
            )
        except Exception as error:  # noqa: BLE001  it is reported to the master, which has the last word
            self.app.reports.failed(self._sentence(error))
            raise SystemExit(1) from None
        self._grpc.grow(self._most_threads)
        self.app.assembled.running.faces["grpc"] = self._grpc.waiting

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
                self.app.reports.failed(self._sentence(error))
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
            state = self._state()
            models = state.models or ()
            assembled.load_models(self._does, models)
            assembled.modelplane.keep_only(models, state.unloaded)
            abreast = follower.begin(state.generation, self._newest().generation)
        if self._reloader is not None and self.reads_repository:
            served = directory.served()
            if served is not None:
                self._reloader.check(served)
        self._open()
        self.app.reports.ready(assembled.serving())
        if self._reloader is not None:
            self._reloader.start()

    def _state(self) -> State:
        """What this worker is to serve: what its cohort has found, or what the others serve."""
        assembled = self.app.assembled
        assert assembled is not None
        found = assembled.wanted

        def wanted(before: State) -> tuple[Wanted, ...]:
            return tuple(found(loaded={name for name, _ in before.models or ()}, unloaded=before.unloaded))

        if self.reads_repository:
            return self.app.directory.coming(wanted)
        state = self.app.directory.state()
        if self._reloader is not None:
            # because the state is as old as the last reload, and models have come and gone
            return replace(state, models=wanted(state))
        return state

    def _newest(self) -> State:
        return self.app.directory.latest() if self.reads_repository else self.app.directory.state()

    def _renew(self) -> None:
        """Ask for workers that read code anew."""
        if os.getppid() == self.ppid:
            os.kill(self.ppid, signal.SIGHUP)

    def _does(self, what: str) -> None:
        self._doing = what
        self.app.reports.doing(what)

    def _sentence(self, error: BaseException) -> str:
        if isinstance(error, SrvError):
            return str(error)
        log.error("A worker failed while %s.", self._doing, exc_info=error)
        return f"A worker failed while {self._doing}: {type(error).__name__}: {error}".rstrip(": ") + "."

    def _tell(self, question: Any) -> dict[str, Any]:
        """Answer on the control socket."""
        assert self._follower is not None
        match question:
            case {"ask": "state"}:
                return {"pid": self.pid, "generation": self._follower.generation}
            case {"ask": "queues"} if self.app.assembled is not None:
                return {"queues": [*self.app.assembled.running.own_queues()]}
            case {
                "ask": "follow",
                "order": {"do": "load" | "unload", "name": str()} as order,
                "generation": int(given),
            }:
                reason = self._follower.hear(order, given)
                return {"done": True} if reason is None else {"failed": reason}
        return {"error": "The questions are 'state', 'queues' and 'follow'."}

    # -- from serving to the end ---------------------------------------------------------------------------------------

    def answered(self) -> None:
        """Called by the class that speaks HTTP for each request; asks for a successor after max_requests."""
        if not self._spent and self.nr >= self._answers_until_spent:
            self._spent = True
            self.app.reports.spent()

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

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  gunicorn calls it so
        """Go, whatever is there; said while leaving, it changes nothing."""
        if not self._stopping.is_set():
            self._go()
            self._stopping.set()
            raise SystemExit(0)

    def _go(self) -> None:
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
            unloading = threading.Thread(target=self.app.assembled.close, name="srv-unload", daemon=True)
            unloading.start()
            while unloading.is_alive():
                self.notify()
                unloading.join(_UNLOAD_BESIDE_A_LOAD)
                if loading:
                    break
        self.app.directory.forget(self.pid)
        if self._control is not None:
            self._control.close()
        if os.getppid() != self.ppid:
            self.app.directory.remove()
        if loading or any(
            not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()
        ):
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)
