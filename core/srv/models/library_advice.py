"""Advice for errors of libraries whose own message does not say what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator

from srv.errors import said_by

#: The exception's class, what its message says, and what to do; `{}` is the message's first group.
_ADVICE: tuple[tuple[type[BaseException], str, str], ...] = (
    (
        AttributeError,
        r"Can't get attribute '([\w.]+)' on <module '(?:[\w.]+\.)?__(?:mp_)?main__'",
        "It was pickled where '{}' is defined, in a script or notebook: define it in a module beside the settings.",
    ),
    (
        ValueError,
        r"only works in (?:the )?main thread",
        "Say main_thread = True in the runtime's class, and its load runs there.",
    ),
    (
        RuntimeError,
        r"^There is no current event loop in thread",
        "Write load with async, or say main_thread = True in the runtime's class.",
    ),
    (
        ImportError,
        r"version `(GLIBC(?:XX)?_[\d.]+)' not found",
        (
            "A library needs {}, which is newer than what is here: make the environment on a machine like this one; "
            "libstdcxx-ng of conda brings a newer GLIBCXX."
        ),
    ),
    (RuntimeError, r"^no running event loop", "Write load with async, and it runs on the event loop."),
    (
        Exception,  # sqlite3.ProgrammingError; sqlite3 is not imported, because most servers do not need it
        r"^SQLite objects created in a thread can only be used in that same thread",
        "Say same_thread = True in the runtime's class, and all of its methods run in one thread.",
    ),
)


def advice_on(error: BaseException) -> str:
    """Return the advice for an error or one of its causes, as a sentence behind a blank; empty where there is none."""
    for each in _with_causes(error):
        for kind, pattern, sentence in _ADVICE:
            found = re.search(pattern, said_by(each)) if isinstance(each, kind) else None
            if found is not None:
                return " " + sentence.format(*found.groups())
    return ""


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__
