"""The program of a model process: loads one model, and answers what the server's workers ask of it."""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import logging
import os
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from srv import logs
from srv.channels.channel import Channel
from srv.channels.frames import FrameKind
from srv.codecs import Codecs
from srv.cores import cores
from srv.discovery import discover
from srv.errors import SrvError
from srv.inference.event_loop import EventLoop
from srv.inference.pipeline import Answering, prepare
from srv.model_settings import ModelSettings
from srv.models.folder_codecs import FolderCodecs, name_of
from srv.models.instances import Instances
from srv.models.load_errors import reason_of, shown_traceback
from srv.models.main_thread import MainThread
from srv.models.module_names import Links
from srv.models.registry import ModelState, ModelVersion
from srv.planes.model_metrics import ModelMetrics
from srv.processes.descriptions import ModelDescription, description_of
from srv.processes.errors import AdoptedInProcess, AsksFromProcess
from srv.processes.hosting import Hosting
from srv.processes.hung_calls import HungCalls
from srv.processes.orders import Order, plain, read
from srv.processes.request_log import tell_requests
from srv.runtime import Runtime
from srv.safe_logging import log_descriptors
from srv.serve.closing import end_process
from srv.serve.forked_children import ForkedChildren, end_children
from srv.serve.prometheus_folder import share_metrics
from srv.server import not_running
from srv.settings import ServerSettings
from srv.version import __version__

log = logging.getLogger("srv.modelprocess")

#: Seconds between two looks at what hangs.
_BEAT = 1.0
#: prctl's number for the signal that a process gets when the one that started it has ended.
_PR_SET_PDEATHSIG = 1
#: The queue of the model is in the workers.
_ANY_QUEUE = 1 << 30
#: Signals that a server's other processes ignore, and that a model may want for its own children.
_IGNORED_BEFORE = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


class ModelProcess:
    """This process: told by the supervisor what to load, connected with workers, and ended."""

    def __init__(self, control: Channel) -> None:
        self._control = control
        self._order: queue.SimpleQueue[Order] = queue.SimpleQueue()
        self._main_thread = MainThread()
        self._wakes = threading.Event()
        self._main_thread.wake = self._wakes.set
        self._loop = EventLoop()
        self._hosting: Hosting | None = None
        self._model: ModelVersion | None = None
        self._instances: Instances | None = None
        self._metrics: ModelMetrics | None = None

    def run(self) -> None:
        """Load the model and answer, to the end of the process; the main thread runs what must run there."""
        self._say("hello", version=__version__)
        threading.Thread(target=self._listen, name="srv-control", daemon=True).start()
        order = self._order.get()
        logs.configure(level=order.log_level, form=order.log_format)
        tell_requests(order.log_format)
        ForkedChildren(
            signals=(),
            addresses=lambda: (),
            folder=order.links or order.folder,
            keep=(0, 1, 2, *log_descriptors()),
            forked=self._disown,
        ).register()
        threading.Thread(target=self._load, args=(order,), name="srv-loader", daemon=True).start()
        while True:
            self._wakes.wait()
            self._wakes.clear()
            self._main_thread.work()

    # -- what the supervisor says --------------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Do what the supervisor says. Where it is gone, so is this process."""
        with suppress(SrvError):
            while (frame := self._control.receive()) is not None:
                said: Mapping[str, Any] = frame.head
                match said:
                    case {"what": "start", "order": order}:
                        self._order.put(read(order, Order))
                    case {"what": "ping"}:
                        self._say("pong")
                    case {"what": "connect"} if self._hosting is not None:
                        self._hosting.serve(Channel(socket.socket(fileno=frame.descriptors[0])))
                    case {"what": "stop", "seconds": int() | float() as seconds}:
                        threading.Thread(target=self._stop, args=(seconds,), name="srv-stop", daemon=True).start()
        os._exit(1)

    def _say(self, what: str, **said: Any) -> None:
        with suppress(SrvError):
            self._control.send(FrameKind.STATUS, 0, {"what": what, **said})

    # -- the model -----------------------------------------------------------------------------------------------------

    def _load(self, order: Order) -> None:
        model = ModelVersion(order.model)
        try:
            self._say("loaded", model=plain(self._loaded(model, order)))
        except BaseException as error:
            model.reason = reason_of(error, order.model)
            log.error(  # noqa: TRY400  a sentence of srv's own needs no traceback
                "Model '%s' could not be loaded: %s", model.title, model.reason, exc_info=shown_traceback(error)
            )
            self._say("failed", reason=model.reason)
            return
        gc.freeze()
        self._watch(order)

    def _loaded(self, model: ModelVersion, order: Order) -> ModelDescription:
        """Load the model, and return what workers must know of it."""
        if order.prometheus is not None:
            share_metrics(order.prometheus)  # first, because the model may import prometheus_client
        chosen = order.plugins
        plugins = discover(disable=chosen.disable, only=chosen.only, prefer=chosen.prefer, optional=chosen.optional)
        codecs = Codecs(plugins)
        settings = ServerSettings(
            order.folder,
            max_queue=_ANY_QUEUE,
            request_timeout=order.request_timeout,
            load_timeout=order.load_timeout,
            root_routes=order.root_routes,
        )
        self._metrics = metrics = ModelMetrics(order.model_metrics, str(os.getpid()))
        described: list[ModelDescription] = []

        def prepared(model: ModelVersion, runtime: Runtime) -> None:
            known = FolderCodecs(model.codecs, codecs) if model.codecs else codecs
            prepare(model, runtime, codecs=known, loop=self._loop, settings=settings)
            answering = model.answer
            assert isinstance(answering, Answering)
            answering.batching = None  # because the workers have merged what runs together
            own = {content_type: name_of(codec) for content_type, codec in model.codecs.items()}
            described.append(description_of(model, answering, known, own))

        self._instances = Instances(
            plugins,
            prepare=prepared,
            warm_up=_warm_up,
            run_async=self._loop.run,
            links=Links(None if order.links is None else order.links / str(os.getpid())),
            main_thread=self._main_thread,
            server_of=lambda model: not_running(order, refusal=partial(AsksFromProcess, model.name)),
            load_timeout=order.load_timeout,
            cores=cores(),
            metrics=metrics.reporter,
            fetch=lambda _: None,
            adopt=_refuse_foreign,
        )
        self._model = model
        self._instances.start(model)
        model.state = ModelState.READY
        self._hosting = Hosting(model)
        return described[0]

    def _watch(self, order: Order) -> None:
        """Look every second for calls that hang; where one does for too long, the supervisor ends this process."""
        assert self._hosting is not None
        hung = HungCalls(order.stuck_timeout)
        while True:
            time.sleep(_BEAT)
            self._hosting.tick()
            why = hung.look(self._hosting.running())
            if why is not None:
                log.error("Model '%s': %s. This process ends, which is the one way to end it.", order.model.name, why)
                self._say("hangs", why=why)

    def _stop(self, seconds: float) -> None:
        """Finish what is there, unload, and end."""
        model = self._model
        if model is not None and self._instances is not None:
            if model.wait_idle is not None:
                model.wait_idle(seconds)
            self._instances.stop(model)
        self._loop.close()
        end_children()
        end_process()

    def _disown(self) -> None:
        """Keep a child that the model has forked from going on as this process."""
        self._loop.forked = True
        if self._metrics is not None:
            self._metrics.forked()
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in self._hosting.descriptors() if self._hosting is not None else ():
            os.dup2(nothing, descriptor, inheritable=False)
        os.close(nothing)


def _refuse_foreign(cls: type, settings: ModelSettings) -> type[Runtime] | None:
    """Say that a class that is no runtime cannot be adopted here, as hooks do it in a worker."""
    raise AdoptedInProcess(settings.implementation or cls.__name__)


def _warm_up(model: ModelVersion) -> None:
    if model.settings.warmup:
        from srv.rest.warm_up import warm_up  # here, because it imports what speaks HTTP

        warm_up(model)


def die_with(parent: int) -> None:
    """End this process when the one that started it has ended, however that was."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the model that the supervisor names.

    The arguments are the descriptor of the socket to the supervisor, its process id, and the descriptor where a crash is
    told. Others are passed over, because a newer server may give more, whom the handshake refuses.
    """
    given = [each for each in (sys.argv[1:] if arguments is None else arguments) if each.isdecimal()]
    descriptor, parent, dump, *_ = (*map(int, given), 2)
    die_with(parent)
    for sig in _IGNORED_BEFORE:
        signal.signal(sig, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    faulthandler.enable(dump, all_threads=False)
    for own in (descriptor, dump):
        os.set_inheritable(own, False)  # noqa: FBT003  the function takes it so
    ModelProcess(Channel(socket.socket(fileno=descriptor))).run()


if __name__ == "__main__":
    main()
