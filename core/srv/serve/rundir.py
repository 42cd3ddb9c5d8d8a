"""The run directory: which models the workers want, and where each of them is reached, for as long as srv runs."""

from __future__ import annotations

import fcntl
import json
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import msgspec

#: A model by name and version, as the state lists them.
Wanted = tuple[str, str | None]

#: The longest path that a Unix socket takes on every system, with room for the names below.
_LONGEST = 80
#: Seconds between two tries to have the turn: waiting for a lock cannot be given a time.
_BETWEEN_TRIES = 0.02


class State(msgspec.Struct, frozen=True):
    """The models that every worker is to serve, and the names of those that somebody has unloaded.

    Whoever changes them adds one to the generation.
    """

    generation: int = 0
    models: tuple[Wanted, ...] | None = None
    unloaded: tuple[str, ...] = ()


class RunDirectory:
    """`state.json`, replaced atomically; `lock`, held while it is; `workers/<pid>.sock`, a socket for each worker.

    `turn` is held for as long as a change of the models takes, over all workers, and that may be minutes; nobody but
    those who want to change them waits for it.

    A cohort of workers that starts together reads the repository once: the first of them writes what it found, to
    `coming.json`, and that becomes the state when they are ready. A worker that replaces a dead one takes the state
    as it is, so that it serves what its siblings serve, whatever has appeared in the models folder meanwhile.
    While somebody develops, `served.json` has what serves now, so that a worker with broken code takes nobody's place.
    """

    def __init__(self) -> None:
        place = tempfile.gettempdir()
        self.path = Path(tempfile.mkdtemp(prefix="srv-", dir=place if len(place) < _LONGEST else "/tmp"))  # noqa: S108  mkdtemp makes it private
        self._state = self.path / "state.json"
        self._coming = self.path / "coming.json"
        self._served = self.path / "served.json"
        self._workers = self.path / "workers"
        self._workers.mkdir()
        self._lock = self.path / "lock"
        self._lock.touch()
        self._turn = self.path / "turn"
        self._turn.touch()
        #: Where workers count, for all of them and for those that come after.
        self.statistics = self.path / "statistics"
        self._write(self._state, State())

    def state(self) -> State:
        """The state as it is now."""
        return _read(self._state)

    def latest(self) -> State:
        """The state of a cohort that is coming, or the one that there is."""
        with suppress(FileNotFoundError):
            return _read(self._coming)
        return self.state()

    def coming(self, found: Callable[[State], tuple[Wanted, ...]]) -> State:
        """What a new cohort serves: what its first worker found, which is told of the state before."""
        with self.locked():
            if not self._coming.exists():
                before = self.state()
                self._write(self._coming, State(before.generation + 1, found(before), before.unloaded))
            return _read(self._coming)

    def change(self, name: str, versions: Sequence[str | None]) -> int:
        """Have every worker serve these versions of a model, none if it was unloaded; gives the new generation.

        A cohort that is coming is told too, because it would bring back what was before.
        """
        with self.locked():
            held = {path: _read(path) for path in (self._state, self._coming) if path.exists()}
            generation = max(state.generation for state in held.values()) + 1
            for path, state in held.items():
                others = (each for each in state.models or () if each[0] != name)
                models = (*others, *((name, version) for version in versions))
                unloaded = {*state.unloaded, name} if not versions else {*state.unloaded} - {name}
                self._write(path, State(generation, models, tuple(sorted(unloaded))))
        return generation

    def arrive(self) -> None:
        """Make the new cohort's models the state; it is ready."""
        with self.locked(), suppress(FileNotFoundError):
            self._coming.replace(self._state)

    def abandon(self) -> None:
        """Forget the new cohort's models; it failed."""
        with self.locked():
            self._coming.unlink(missing_ok=True)

    def tell_served(self, models: Sequence[Wanted]) -> None:
        """Keep which models serve."""
        self._write(self._served, State(models=tuple(models)))

    def served(self) -> tuple[Wanted, ...] | None:
        """Which models served when somebody told last; None where nobody has."""
        return _read(self._served).models if self._served.exists() else None

    def register(self, pid: int) -> socket.socket:
        """A worker's control socket, listening; done before the worker reads the state, so that no change passes it."""
        control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        control.bind(str(self._workers / f"{pid}.sock"))
        control.listen()
        return control

    def forget(self, pid: int) -> None:
        """Remove the control socket of a worker that is gone."""
        (self._workers / f"{pid}.sock").unlink(missing_ok=True)

    def registered(self) -> list[Path]:
        """The control sockets of all workers that have registered."""
        return sorted(self._workers.glob("*.sock"))

    def pids(self) -> list[int]:
        """The workers that have registered, by process."""
        return sorted(int(path.stem) for path in self.registered())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock; a process that dies lets go of it."""
        with self._lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def turn(self, seconds: float) -> Iterator[None]:
        """Be the only one who changes the models. Raises TimeoutError where somebody else does for so long."""
        until = time.monotonic() + seconds
        with self._turn.open("w") as turn:
            while not _taken(turn):
                if time.monotonic() > until:
                    raise TimeoutError
                time.sleep(_BETWEEN_TRIES)
            yield

    def remove(self) -> None:
        """Take the directory away."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _write(self, path: Path, state: State) -> None:
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(msgspec.structs.asdict(state)))
        fresh.replace(path)


def _read(path: Path) -> State:
    held = json.loads(path.read_text())
    models = held["models"]
    wanted = None if models is None else tuple((name, version) for name, version in models)
    return State(held["generation"], wanted, tuple(held["unloaded"]))


def _taken(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
