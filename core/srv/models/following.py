"""Following: whether a load repeats what another worker of the server has done already."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_FOLLOWS: ContextVar[bool] = ContextVar("srv.follows", default=False)


def follows_another_worker() -> bool:
    """Return whether the load in this thread follows another worker."""
    return _FOLLOWS.get()


@contextmanager
def following() -> Iterator[None]:
    """Have the loads of a block follow another worker."""
    token = _FOLLOWS.set(True)
    try:
        yield
    finally:
        _FOLLOWS.reset(token)
