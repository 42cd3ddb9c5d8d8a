"""gunicorn's internals: what srv takes of gunicorn beyond its documented settings, hooks and application class.

They are looked at when this module is imported. A gunicorn whose master lacks something supervises the workers with its own
master, by documented settings alone; a threaded worker that lacks something goes without what srv adds to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from gunicorn import __version__
from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer
from gunicorn.sock import ssl_context
from gunicorn.util import write_nonblock
from gunicorn.workers.base import Worker

if TYPE_CHECKING:
    from gunicorn.workers.gthread import ThreadWorker

__all__ = (
    "ARBITER_LACKS",
    "Arbiter",
    "HaltServer",
    "ThreadWorker",
    "Worker",
    "__version__",
    "lacks",
    "ssl_context",
    "write_nonblock",
)

#: What the loop of srv's master calls, overrides and reads.
_OF_ARBITER = (
    "LISTENERS",
    "WORKERS",
    "handle_ttin",
    "handle_ttou",
    "init_signals",
    "kill_worker",
    "kill_workers",
    "manage_workers",
    "num_workers",
    "signal",
    "spawn_worker",
    "start",
)
_SET_BY_ARBITER = ("SIG_QUEUE", "cfg", "log", "timeout")


def lacks(kind: type, names: Iterable[str], *, sets: Iterable[str] = ()) -> tuple[str, ...]:
    """Return which of these names a class has not, and which attributes its methods do not set."""
    functions = [value for value in vars(kind).values() if hasattr(value, "__code__")]
    used = {name for function in functions for name in function.__code__.co_names}
    return (*(name for name in names if not hasattr(kind, name)), *(name for name in sets if name not in used))


#: What gunicorn's master has not of what srv needs; nothing for each gunicorn that setup.cfg admits.
ARBITER_LACKS = lacks(Arbiter, _OF_ARBITER, sets=_SET_BY_ARBITER)


def __getattr__(name: str) -> Any:
    """Import gunicorn's threaded worker when it is asked for, because most servers do without."""
    if name != "ThreadWorker":
        raise AttributeError(name)
    from gunicorn.workers.gthread import ThreadWorker

    return ThreadWorker
