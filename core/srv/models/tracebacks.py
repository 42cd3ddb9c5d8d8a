"""Tracebacks for authors of models: from the author's own code on, without srv's frames before it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import importlib
import traceback
from pathlib import Path
from types import TracebackType

_SRV = str(Path(__file__).parents[1]) + "/"
#: The files whose functions run for an import statement in a model's code.
_IMPORTS = (_SRV + "models/model_imports.py", _SRV + "models/module_files.py", "<frozen importlib")
#: Where srv waits for a coroutine, and what runs it.
_WAITING = tuple(str(Path(str(module.__file__)).parent) + "/" for module in (asyncio, concurrent.futures))


def from_own_code(error: BaseException) -> BaseException:
    """Cut srv's frames from an error's traceback, and from its causes'; return the error.

    These are the frames before the author's own code, and those of imports within it.
    """
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        each.__traceback__ = _without_imports(_after_srv(each.__traceback__))
        each = each.__cause__ or each.__context__
    return error


def from_call(error: BaseException) -> BaseException:
    """Cut srv's frames as from_own_code does, for an error of a method that srv called; return the error.

    A traceback that has srv's frames only stays as it is, because the fault may be srv's.
    """
    whole = error.__traceback__
    from_own_code(error)
    if error.__traceback__ is None:
        error.__traceback__ = whole
    return error


def place_of(error: BaseException) -> str:
    """Return the lines that say where an error was raised, without the error itself: frames, or a line of bad syntax."""
    lines = list(traceback.TracebackException.from_exception(from_own_code(error)).format())
    return "".join(line for line in lines[:-1] if line != _HEAD).rstrip("\n")


_HEAD = "Traceback (most recent call last):\n"


def _after_srv(first: TracebackType | None) -> TracebackType | None:
    frame = first
    while frame is not None and _is_srvs(frame.tb_frame.f_code.co_filename):
        frame = frame.tb_next
    return frame


def _without_imports(first: TracebackType | None) -> TracebackType | None:
    """Link the frames of a traceback past those of imports; the first one is none of them."""
    frames: list[TracebackType] = []
    frame = first
    while frame is not None:
        if not frame.tb_frame.f_code.co_filename.startswith(_IMPORTS):
            frames.append(frame)
        frame = frame.tb_next
    for one, following in zip(frames, [*frames[1:], None], strict=False):
        one.tb_next = following
    return first


def _is_srvs(file: str) -> bool:
    return file.startswith((_SRV, *_WAITING, "<frozen importlib")) or file == importlib.__file__
