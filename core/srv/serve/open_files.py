"""The limit on open files, which bounds how many connections a worker can hold."""

from __future__ import annotations

import logging
import resource

from srv.errors import SrvError

log = logging.getLogger("srv.serve")

#: Descriptors that are not connections: listeners, logs, pipes, models' own files.
SPARE_DESCRIPTORS = 128
#: Fewer connections than these are no server.
_FEWEST = 16


class TooFewOpenFiles(SrvError):
    """The limit on open files leaves no room for connections."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"The limit on open files is {limit}, and srv needs {SPARE_DESCRIPTORS} beside its connections. "
            f"Raise the limit, as with 'ulimit -n 4096'."
        )


def most_connections(wanted: int) -> int:
    """Return as many connections as are wanted, or as the limit on open files, raised as far as it goes, allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + SPARE_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft - SPARE_DESCRIPTORS))


def check_open_files(wanted: int) -> None:
    """Raise the limit for this process and those forked from it, and say where that is less than is wanted.

    Raises TooFewOpenFiles where hardly any connection would have room.
    """
    allowed = most_connections(wanted)
    if allowed == wanted:
        return
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed < min(_FEWEST, wanted):
        raise TooFewOpenFiles(limit)
    log.warning(
        "The limit on open files, %d, lets each worker hold %d connections; max_connections is %d.",
        limit,
        allowed,
        wanted,
    )
