"""Children that a model forks: they keep no signal handler, port or connection of the worker, and end with it."""

from __future__ import annotations

import os
import signal
import socket
import stat
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

#: The descriptors of this process: Linux, and the others.
_DESCRIPTORS = ("/proc/self/fd", "/dev/fd")
#: Seconds that children get to end after SIGTERM, and between two looks.
_TO_END, _BETWEEN_LOOKS = 1.0, 0.02


class ForkedChildren:
    """What a child of this process must let go of. One that is forked by another thread than the main one too.

    `addresses` gives the ports and the paths of Unix sockets that this process serves on, `folder` is where its files are.
    The descriptors that are open now are its own too, but for those of `keep`. `forked` is called in the child.
    """

    def __init__(
        self,
        *,
        signals: Collection[int],
        addresses: Callable[[], Collection[int | str]],
        folder: Path,
        keep: Collection[int],
        forked: Callable[[], object],
    ) -> None:
        self._signals = frozenset(signals)
        self._addresses = addresses
        self._own = {*_descriptors()} - {*keep}
        self._folder = str(folder) + "/"
        self._forked = forked
        self._before: set[int] = set()

    def register(self) -> None:
        """Have children that are forked from now on let go. To be called once in a process."""
        os.register_at_fork(before=self._block, after_in_parent=self._unblock, after_in_child=self._let_go)

    def _block(self) -> None:
        """Let no signal reach the child before it has handlers of its own."""
        self._before = signal.pthread_sigmask(signal.SIG_BLOCK, self._signals)

    def _unblock(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._before)

    def _let_go(self) -> None:
        self._forked()
        signal.set_wakeup_fd(-1)
        for number in self._signals:
            signal.signal(number, signal.SIG_DFL)
        with suppress(OSError):
            self._replace_descriptors()
        self._unblock()

    def _replace_descriptors(self) -> None:
        """Put /dev/null in the place of each descriptor of the worker's own.

        They are not closed, because objects that refer to them would close what gets their numbers later.
        """
        addresses = self._addresses()
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in [*_descriptors()]:
            if descriptor in self._own or self._is_of_worker(descriptor, addresses):
                os.dup2(nothing, descriptor, inheritable=False)
        os.close(nothing)

    def _is_of_worker(self, descriptor: int, addresses: Collection[int | str]) -> bool:
        try:
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                address = _address_of(descriptor)
                return address in addresses or (isinstance(address, str) and address.startswith(self._folder))
            return str(Path(f"{_DESCRIPTORS[0]}/{descriptor}").readlink()).startswith(self._folder)
        except OSError:
            return False


def addresses_of(listeners: Iterable[socket.socket], grpc_address: str | None) -> set[int | str]:
    """Return the ports and the paths of Unix sockets that a worker serves on."""
    names = [listener.getsockname() for listener in listeners]
    ports = [] if grpc_address is None else [int(grpc_address.rpartition(":")[2])]
    return {*ports, *(name if isinstance(name, str) else name[1] for name in names)}


def end_children() -> None:
    """End the processes that were forked from this one and still run, so that none of them outlives it."""
    children = [*forked_children()]
    for sig in (signal.SIGTERM, signal.SIGKILL):
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, sig)
        until = time.monotonic() + _TO_END
        while children and time.monotonic() < until:
            children = [pid for pid in children if not _has_ended(pid)]
            if children:
                time.sleep(_BETWEEN_LOOKS)


def forked_children() -> Iterator[int]:
    """Return the children that were forked from this process and run its program; none where /proc does not tell."""
    own = _command_of("self")
    for tasks in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            for pid in tasks.read_text().split():
                if _command_of(pid) == own:
                    yield int(pid)


def _command_of(pid: str) -> bytes | None:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return None


def _has_ended(pid: int) -> bool:
    """Return whether a child has ended, and leave it to its owner to learn how."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _descriptors() -> Iterator[int]:
    for folder in _DESCRIPTORS:
        if Path(folder).is_dir():
            yield from map(int, os.listdir(folder))  # noqa: PTH208  names, not paths
            return


def _address_of(descriptor: int) -> Any:
    """Return the port or path that a socket is bound to; None where it is neither."""
    bound = socket.socket(fileno=descriptor)
    try:
        name = bound.getsockname()
        if bound.family in (socket.AF_INET, socket.AF_INET6):
            return name[1]
        return name if bound.family == socket.AF_UNIX and name else None
    finally:
        bound.detach()
