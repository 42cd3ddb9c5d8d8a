"""A group: the processes of one load of a model, as many as its settings say, and the workers that use them."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from srv.environments import Interpreter, ready_interpreter
from srv.errors import SrvError
from srv.model_settings import ProcessSettings
from srv.placement import Placement
from srv.processes.children import Child, ChildProgram, ChildState
from srv.processes.endings import Backoff
from srv.processes.errors import ProcessLoadFailed
from srv.processes.orders import read
from srv.shown_paths import shortened, within

log = logging.getLogger(__name__)

#: Seconds that processes stay whose workers have died, for those that take their places.
_LINGERS = 60.0


class Tenant(Protocol):
    """A worker's lease of a group, as the group needs it."""

    def tell(self, what: str, *descriptors: int, **said: Any) -> None:
        """Send something about the lease to its worker."""


class Wanted:
    """What a worker asks for: a model in processes of its own."""

    def __init__(self, asked: Mapping[str, Any], cohort: int) -> None:
        self.name: str = asked["name"]
        self.version: str | None = asked["version"]
        self.order: Any = asked["order"]
        self.folder = Path(self.order["model"]["folder"])
        self.cohort = cohort
        #: The setting `process`.
        self.process = read(asked["process"], ProcessSettings)
        self.count = self.process.count
        self.start_timeout = self.process.start_timeout
        limits: Mapping[str, float] = asked["limits"]
        self.load_timeout = float(limits["load_timeout"])
        self.silence = float(limits["worker_timeout"])
        self.grace = float(limits["graceful_timeout"])
        cache: Mapping[str, Any] = asked["cache"]
        self._cache_dir = None if cache["dir"] is None else Path(cache["dir"])
        self._cache_limit: int | None = cache["limit"]
        self._placements = [None if said is None else read(said, Placement) for said in asked["placements"]]
        self._guard = threading.Lock()
        self._interpreter: Interpreter | None = None

    def interpreter(self) -> Interpreter:
        """Return the interpreter of the processes, whose environment is made ready once for all of them.

        Called in other threads than the supervisor's. Raises EnvironmentUnusable, or what ready_interpreter raises else.
        """
        with self._guard:
            if self._interpreter is None or not self._interpreter.program.exists():
                self._interpreter = ready_interpreter(
                    self.process.environment,
                    cache_dir=self._cache_dir,
                    cache_limit=self._cache_limit,
                    title=self.title,
                    seconds=self.load_timeout,
                )
            return self._interpreter

    def chosen(self, number: int) -> Placement | None:
        """Return where a plugin wants the process of that number to run; None where none does."""
        return self._placements[number] if number < len(self._placements) else None

    def release(self) -> None:
        """Let the environment be removed from the cache; no process of it runs any more."""
        with self._guard:
            if self._interpreter is not None:
                self._interpreter.release()
                self._interpreter = None

    @property
    def key(self) -> tuple[str, str | None]:
        """The model's name and version."""
        return self.name, self.version

    @property
    def title(self) -> str:
        """The model for logs."""
        return self.name if self.version is None else f"{self.name} version {self.version}"


class Group:
    """Starts and replaces the processes of one load of a model. Used in the supervisor's thread alone.

    `program` returns how the process of a number is started, which may take long; `over` is called when the last process
    has ended and none is started any more.
    """

    def __init__(
        self, wanted: Wanted, *, program: Callable[[Wanted, int], ChildProgram], over: Callable[[Group], None]
    ) -> None:
        self.wanted = wanted
        self.key = wanted.key
        self.cohort = wanted.cohort
        self._program = program
        self._over = over
        self._loop = asyncio.get_running_loop()
        self._children: dict[int, Child] = {}
        self._backoffs = [Backoff() for _ in range(wanted.count)]
        self._tenants: list[Tenant] = []
        self._serves = False
        self._failure: ProcessLoadFailed | None = None
        self._stopping = False
        self._lingering: asyncio.TimerHandle | None = None
        self._starting: set[asyncio.Task[None]] = set()
        self._waiting: dict[int, asyncio.TimerHandle] = {}
        #: Why the process of a number does not run.
        self._down: dict[int, str] = {}
        #: Whether workers that load the model from now on want another group.
        self.outdated = False

    # -- its workers ---------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start the processes."""
        for number in range(self.wanted.count):
            self._start(number)

    @property
    def is_open(self) -> bool:
        """Whether workers may still join it."""
        return not (self.outdated or self._stopping or self._failure is not None)

    def join(self, tenant: Tenant) -> None:
        """Give a worker connections to the processes, now or when they serve."""
        self._keep()
        self._tenants.append(tenant)
        if self._serves:
            self._introduce(tenant)

    @property
    def is_used(self) -> bool:
        """Whether a worker has it."""
        return bool(self._tenants)

    def leave(self, tenant: Tenant, *, outdated: bool, at_once: bool) -> None:
        """Let a worker go. With the last one the processes end: `at_once`, or when nobody has come in its place."""
        with suppress(ValueError):
            self._tenants.remove(tenant)
        self.outdated = self.outdated or outdated
        if self._tenants or self._stopping:
            return
        if outdated or at_once or not self._serves:
            self.stop()
        elif self._lingering is None:
            self._lingering = self._loop.call_later(_LINGERS, self.stop)

    def stop(self) -> None:
        """End the processes, and start none any more."""
        self._keep()
        if self._stopping:
            return
        self._stopping = True
        for handle in self._waiting.values():
            handle.cancel()
        self._waiting.clear()
        for child in [*self._children.values()]:
            child.stop(self.wanted.grace)
        self._end_if_over()

    def kill(self, pid: int, why: str) -> None:
        """End one process, because a worker has waited for it too long."""
        for child in self._children.values():
            if child.pid == pid:
                child.kill(f"was killed because {why}")

    def _keep(self) -> None:
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None

    def _introduce(self, tenant: Tenant) -> None:
        """Connect a worker with every process that serves, and tell it of the others."""
        for number in range(self.wanted.count):
            child = self._children.get(number)
            if child is not None and child.state is ChildState.SERVING:
                self._connect(tenant, number, child)
            else:
                tenant.tell("down", number=number, process=0, how=self._down.get(number, "is starting"), wait=0.0)
        tenant.tell("serves", count=self.wanted.count)

    def _connect(self, tenant: Tenant, number: int, child: Child) -> None:
        theirs, workers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, workers:
            if child.connect(theirs.fileno()):
                tenant.tell("up", workers.fileno(), number=number, process=child.pid, model=child.description)

    # -- its processes -------------------------------------------------------------------------------------------------

    def _start(self, number: int) -> None:
        wanted = self.wanted
        self._waiting.pop(number, None)
        child = self._children[number] = Child(
            wanted.title,
            wanted.order,
            start_timeout=wanted.start_timeout,
            load_timeout=wanted.load_timeout,
            silence=wanted.silence,
            memory=wanted.process.memory,
            loaded=lambda child, _: self._loaded(number, child),
            ended=lambda child, how, failure: self._ended(number, child, how, failure),
            silent=lambda child: self._tell_silence(number, child),
        )
        task = self._loop.create_task(self._start_child(number, child))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _start_child(self, number: int, child: Child) -> None:
        try:
            program = await asyncio.to_thread(self._program, self.wanted, number)
        except Exception as error:  # noqa: BLE001  an environment may be broken in any way
            log.error("Model '%s' has no environment for its processes: %s", self.wanted.title, error)  # noqa: TRY400  a sentence
            # Errors of environments are sentences already, in which clients see no path outside of the model's folder.
            sentence = str(error) if isinstance(error, SrvError) else f"process: {error}"
            failure = ProcessLoadFailed(shortened(within(sentence, self.wanted.folder)))
            self._ended(number, child, "could not be started", failure)
            return
        if self._stopping:
            self._ended(number, child, "was not started", None)
        else:
            child.start(program)

    def _loaded(self, number: int, child: Child) -> None:
        if self._stopping:
            return
        self._down.pop(number, None)
        if self._serves:
            log.info("Model '%s' has its process again (process %d).", self.wanted.title, child.pid)
            for tenant in [*self._tenants]:
                self._connect(tenant, number, child)
        elif len(self._children) == self.wanted.count and all(
            each.state is ChildState.SERVING for each in self._children.values()
        ):
            self._serves = True
            for tenant in [*self._tenants]:
                self._introduce(tenant)

    def _ended(self, number: int, child: Child, how: str, failure: ProcessLoadFailed | None) -> None:
        if self._children.get(number) is child:
            del self._children[number]
        if self._stopping:
            self._end_if_over()
        elif not self._serves:
            self._fail(failure or ProcessLoadFailed(f"process: its process {how}."))
        else:
            self._replace(number, child, how, failure)

    def _tell_silence(self, number: int, child: Child) -> None:
        for tenant in [*self._tenants]:
            tenant.tell("silent", number=number, silent=child.is_silent)

    def _fail(self, failure: ProcessLoadFailed) -> None:
        """Tell all workers that the model cannot be loaded; the other processes end."""
        self._failure = failure
        tenants, self._tenants = self._tenants, []
        for tenant in tenants:
            tenant.tell("failed", reason=str(failure))
        self.stop()

    def _replace(self, number: int, child: Child, how: str, failure: ProcessLoadFailed | None) -> None:
        """Start another process in the place of one that died, after a while where that happens again and again."""
        wait = self._backoffs[number].died(child.ready_since, time.monotonic())
        if failure is not None:
            how = f"could not be started again: {failure}"
        self._down[number] = how
        log.error(
            "The process of model '%s' (process %d) %s. Another one takes its place%s.",
            self.wanted.title,
            child.pid,
            how.rstrip("."),
            f" in {wait:g} s" if wait else "",
        )
        for tenant in [*self._tenants]:
            tenant.tell("down", number=number, process=child.pid, how=how, wait=wait)
        self._waiting[number] = self._loop.call_later(wait, self._start, number)

    def _end_if_over(self) -> None:
        if not self._children and self._stopping:
            # In a thread, because one may make the environment ready at the moment.
            self._loop.run_in_executor(None, self.wanted.release)
            self._over(self)
