"""Servers with models in processes of their own: what they serve, and which process is whose."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent
from typing import Any

from servers import Server, eventually


def write(folder: Path, name: str, code: str, **settings: Any) -> Path:
    """Write a model whose class is Model in models.py, with these settings."""
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    (place / "models.py").write_text(dedent(code))
    (place / "model-settings.json").write_text(json.dumps({"implementation": "models.Model", **settings}))
    return place


def children_of(pid: int) -> list[int]:
    """The processes that a process has started and not waited for."""
    try:
        return sorted(int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    except (FileNotFoundError, ProcessLookupError):
        return []


def command_of(pid: int) -> str:
    """The command line of a process; "" where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def supervisor_of(server: Server) -> int:
    """The supervisor of a server, as soon as there is one."""

    def found() -> int | None:
        running = (each for each in children_of(server.process.pid) if "srv.processes.supervisor" in command_of(each))
        return next(running, None)

    pid = eventually(found)
    assert pid is not None
    return pid


def is_of(pid: int, model: str) -> bool:
    """Return whether a process is one of a model's."""
    words = command_of(pid).split()
    return "srv.modelprocess" in words and model in words


def model_processes(server: Server, model: str = "model") -> list[int]:
    """The processes of a model."""
    return [each for each in children_of(supervisor_of(server)) if is_of(each, model)]


def pid_of(server: Server, model: str = "model") -> int:
    """The only process of a model, once one that ends beside it has ended."""

    def only() -> list[int] | None:
        found = model_processes(server, model)
        return found if len(found) == 1 else None

    found = eventually(only)
    assert found is not None
    return found[0]


def workers_of(server: Server) -> list[int]:
    """The workers of a server."""
    return [each for each in children_of(server.process.pid) if "srv.processes" not in command_of(each)]
