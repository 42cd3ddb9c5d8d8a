"""What the processes of a server share: which models the workers serve, where each worker is reached, a folder."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import msgspec

from srv.model_settings import ModelKey
from srv.processes.shared_memory import SharedDocument, SharedLocks
from srv.serve.prometheus_folder import forget_gauges
from srv.serve.run_folder import RunFolder, memory_place, run_place

#: Whether the system has Unix sockets without a file, which nobody can remove.
HAS_ABSTRACT_SOCKETS = sys.platform == "linux"
#: Seconds that a process waits for those that read or write the state, which takes microseconds.
_TO_READ_OR_WRITE = 10.0
#: Seconds that a worker waits for another one that reads the repository for both.
_TO_READ_REPOSITORY = 3600.0


class State(msgspec.Struct, frozen=True):
    """The models that every worker is to serve, and the names of those that somebody has unloaded.

    Whoever changes them adds one to the generation.
    """

    generation: int = 0
    models: tuple[ModelKey, ...] | None = None
    unloaded: tuple[str, ...] = ()


class _Content(msgspec.Struct, frozen=True):
    state: State = State()
    coming: State | None = None
    served: tuple[ModelKey, ...] | None = None
    workers: tuple[int, ...] = ()
    deaths: int = 0


class RunDirectory:
    """Made by the launcher before the first fork. Safe to call from any thread and process of the server.

    The state and the locks are in memory that all processes share, so that a full disk, or somebody who cleans the folder
    of temporary files, changes nothing. Control sockets have no file where the system can do without. The folder has
    files for other programs, and whatever is missing in it is made again.

    A cohort of workers that starts together reads the repository once: the first of them notes what it found as coming,
    and that becomes the state when they are ready. A worker that replaces a dead one takes the state as it is, so that it
    serves what the others serve, whatever has appeared in the models folder meanwhile. While somebody develops, it is
    noted what serves now, so that a worker with broken code takes nobody's place.
    """

    def __init__(self) -> None:
        self._folder = RunFolder(run_place())
        memory = memory_place()
        self._memory = RunFolder(memory) if memory is not None else self._folder
        self._locks = SharedLocks()
        self._document = SharedDocument("srv-state", msgspec.json.encode(_Content()))
        #: Where workers count, for all of them and for those that come after.
        self.statistics = self._memory.path / "statistics"
        #: Where they keep what models report with `metric`.
        self.model_metrics = self._memory.path / "model_metrics"
        #: Where prometheus_client keeps what models and plugins count with it.
        self.prometheus = self._memory.path / "prometheus"
        #: Where there may be files that the launcher and its workers have open, and nobody looks up by their path.
        self.heartbeats = self._memory.path
        #: Where child processes of each worker find the modules of models.
        self.model_links = self.path / "models"

    @property
    def path(self) -> Path:
        """The folder, which only this user may look into."""
        return self._folder.path

    def keep(self) -> None:
        """Make the folders again where somebody has removed them."""
        for folder in {self._folder, self._memory}:
            folder.keep()
        with suppress(OSError):
            self.prometheus.mkdir(mode=0o700, exist_ok=True)  # because prometheus_client raises where it is gone

    def remove(self) -> None:
        """Take the folders away."""
        for folder in {self._folder, self._memory}:
            folder.remove()

    # -- the models ----------------------------------------------------------------------------------------------------

    def state(self) -> State:
        """Return the state as it is now."""
        return self._content().state

    def latest(self) -> State:
        """Return the state of a cohort that is coming, or the one that there is."""
        content = self._content()
        return content.coming or content.state

    def coming(self, found: Callable[[State], tuple[ModelKey, ...]]) -> State:
        """Return what a new cohort serves: what its first worker found, which is told of the state before."""
        with self._locks.held("repository", _TO_READ_REPOSITORY):
            while True:
                content = self._content()
                if content.coming is not None:
                    return content.coming
                before = content.state
                models = found(before)
                with self._changing() as content:
                    if content.state == before:  # else somebody has changed it while the repository was read
                        coming = State(before.generation + 1, models, before.unloaded)
                        self._write(content, coming=coming)

    def change(self, name: str, versions: Sequence[str | None]) -> int:
        """Have every worker serve these versions of a model, none if it was unloaded; gives the new generation.

        A cohort that is coming is told too, because it would bring back what was before. Raises OSError where there is no memory for it.
        """
        with self._changing() as content:
            generation = 1 + max(state.generation for state in (content.state, content.coming) if state is not None)

            def changed(state: State) -> State:
                others = (each for each in state.models or () if each[0] != name)
                models = (*others, *((name, version) for version in versions))
                unloaded = {*state.unloaded, name} if not versions else {*state.unloaded} - {name}
                return State(generation, models, tuple(sorted(unloaded)))

            coming = None if content.coming is None else changed(content.coming)
            self._write(content, state=changed(content.state), coming=coming)
        return generation

    def arrive(self) -> None:
        """Make the new cohort's models the state; it is ready."""
        with self._changing() as content:
            self._write(content, state=content.coming or content.state, coming=None)

    def abandon(self) -> None:
        """Forget the new cohort's models; it failed."""
        with self._changing() as content:
            self._write(content, coming=None)

    def tell_served(self, models: Sequence[ModelKey]) -> None:
        """Note which models serve."""
        with self._changing() as content:
            self._write(content, served=tuple(models))

    def served(self) -> tuple[ModelKey, ...] | None:
        """Return which models served when somebody told last; None where nobody has."""
        return self._content().served

    def changing(self, name: str, seconds: float) -> AbstractContextManager[Callable[[], object]]:
        """Be the only process that changes a model; calling what this gives lets the others before the end.

        Entering raises TimeoutError where another process changes the model for so long.
        """
        return self._locks.held(f"model {name}", seconds)

    # -- the workers ---------------------------------------------------------------------------------------------------

    def register(self, pid: int) -> socket.socket:
        """Make a worker's control socket, listening, before the worker reads the state, so that no change passes it."""
        control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        address = control_address(self.path, pid)
        if not HAS_ABSTRACT_SOCKETS:
            Path(address).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        control.bind(address)
        control.listen()
        with self._changing() as content:
            self._write(content, workers=tuple(sorted({*content.workers, pid})))
        return control

    def forget(self, pid: int) -> None:
        """Remove a worker that is gone."""
        forget_gauges(self.prometheus, pid)
        if not HAS_ABSTRACT_SOCKETS:
            Path(control_address(self.path, pid)).unlink(missing_ok=True)
        with self._changing() as content:
            if pid in content.workers:
                self._write(content, workers=tuple(each for each in content.workers if each != pid))

    def count_death(self) -> None:
        """Count a worker that ended though nobody had told it to go."""
        with self._changing() as content:
            self._write(content, deaths=content.deaths + 1)

    def deaths(self) -> int:
        """Return how many workers have died."""
        return self._content().deaths

    def registered(self) -> Mapping[int, str]:
        """Return the control sockets' addresses of all workers that have registered, by process."""
        return {pid: control_address(self.path, pid) for pid in self.pids()}

    def pids(self) -> list[int]:
        """Return the workers that have registered, by process."""
        return list(self._content().workers)

    # -- the memory ----------------------------------------------------------------------------------------------------

    def _content(self) -> _Content:
        with self._locks.held("state", _TO_READ_OR_WRITE):
            return self._read()

    @contextmanager
    def _changing(self) -> Iterator[_Content]:
        with self._locks.held("state", _TO_READ_OR_WRITE):
            yield self._read()

    def _read(self) -> _Content:
        return msgspec.json.decode(self._document.read(), type=_Content)

    def _write(self, content: _Content, **changes: object) -> None:
        self._document.write(msgspec.json.encode(msgspec.structs.replace(content, **changes)))


def control_address(folder: Path, pid: int) -> str:
    """Return the address of a worker's control socket."""
    return f"\0{folder.name}/{pid}" if HAS_ABSTRACT_SOCKETS else str(folder / "workers" / f"{pid}.sock")
